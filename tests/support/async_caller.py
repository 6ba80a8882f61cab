"""A caller made of bytes: sends exactly what it is told and reads replies by the strictest rules.

Rule: repairs nothing. What is not RFC 9112 to the letter raises `BadReply`; what ends early raises
`asyncio.IncompleteReadError`.
"""

import asyncio
import contextlib
import re
import socket
import ssl
import struct
from types import TracebackType
from typing import Final, NamedTuple, Self, cast

Address = tuple[str, int] | str

_PATIENCE: Final = 5.0
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2}) ([\t\x20-\x7e]*)\r\n")
_FIELD: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([^\x00-\x08\x0a-\x1f\x7f]*)\r\n")
_CHUNK_SIZE: Final = re.compile(rb"([1-9a-f][0-9a-f]*|0)\r\n")


class BadReply(Exception):
    """The peer sent what no strict client would accept."""


class Response(NamedTuple):
    """A whole reply. Field names are lower-case; order and repeats are as sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> bytes | None:
        """The only field of that name, or None. Two of them fail the test."""
        values = [value for field, value in self.headers if field == name.encode()]
        assert len(values) <= 1, f"more than one {name}"
        return values[0] if values else None


class Wire:
    """One connection. Every wait is bounded, so a hung peer fails its test and no other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(
        cls,
        address: Address,
        *,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int = 0,
    ) -> Self:
        """Connects to a host and port, or to the path of a Unix socket.

        `receive_buffer` bounds what the kernel takes for a caller that does not read.
        """
        if isinstance(address, str):
            return cls(*await asyncio.open_unix_connection(address))
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError:
            sock.close()
            raise
        name = address[0] if tls else None
        return cls(*await asyncio.open_connection(sock=sock, ssl=tls, server_hostname=name))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def send(self, data: bytes) -> None:
        """Sends these bytes, in as few segments as they fit in."""
        self.writer.write(data)
        await asyncio.wait_for(self.writer.drain(), _PATIENCE)

    async def send_bytewise(self, data: bytes) -> None:
        """Sends one byte a segment, as far as the kernel does not join them."""
        for byte in data:
            self.writer.write(bytes([byte]))
            await self.writer.drain()
            await asyncio.sleep(0)

    def half_close(self) -> None:
        """Ends this side; the other may go on."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Breaks the connection off with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def stop_reading(self) -> None:
        """Leaves what comes to the kernel, which takes no more than `receive_buffer`."""
        cast("asyncio.Transport", self.writer.transport).pause_reading()

    def read_on(self) -> None:
        """Reads again."""
        cast("asyncio.Transport", self.writer.transport).resume_reading()

    async def close(self) -> None:
        """Closes and waits for it."""
        self.writer.close()
        with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
            await asyncio.wait_for(self.writer.wait_closed(), _PATIENCE)

    async def exchange(self, request: bytes) -> Response:
        """Sends a request and reads its reply."""
        await self.send(request)
        return await self.response(head_only=request.startswith(b"HEAD "))

    async def response(self, *, head_only: bool = False) -> Response:
        """The next reply; an interim one (100) is a reply of its own, without a body."""
        async with asyncio.timeout(_PATIENCE):
            status, headers = await self.head()
            body = b"" if head_only else await self._body(status, headers)
        return Response(status, headers, body)

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """The head of the next reply, up to its blank line."""
        line = _STATUS_LINE.fullmatch(await self.line())
        if line is None:
            raise BadReply("status line")
        headers: list[tuple[bytes, bytes]] = []
        while (field := await self.line()) != b"\r\n":
            match = _FIELD.fullmatch(field)
            if match is None:
                raise BadReply(f"field {field!r}")
            headers.append((match[1].lower(), match[2]))
        return int(line[1]), headers

    async def line(self) -> bytes:
        """The next line, its CRLF included."""
        return await asyncio.wait_for(self.reader.readuntil(b"\n"), _PATIENCE)

    async def chunk(self) -> bytes:
        """The next chunk of a body; empty for the last one."""
        size = _CHUNK_SIZE.fullmatch(await self.line())
        if size is None:
            raise BadReply("chunk size")
        data = await asyncio.wait_for(self.reader.readexactly(int(size[1], 16) + 2), _PATIENCE)
        if not data.endswith(b"\r\n"):
            raise BadReply("chunk end")
        return data[:-2]

    async def to_end(self) -> bytes:
        """All that comes until the other side closes; a reset raises `ConnectionResetError`."""
        return await asyncio.wait_for(self.reader.read(), _PATIENCE)

    async def closed(self) -> bool:
        """Waits for the other side to close: true if nothing came before that."""
        try:
            return await self.to_end() == b""
        except ConnectionResetError:
            return True

    async def _body(self, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        codings = [value for name, value in headers if name == b"transfer-encoding"]
        lengths = [value for name, value in headers if name == b"content-length"]
        if len(codings) + len(lengths) > 1 or codings not in ([], [b"chunked"]):
            raise BadReply("framing")
        if status < 200 or status in {204, 304}:
            if codings or (lengths and status != 304):
                raise BadReply("framing of a reply without a body")
            return b""
        if lengths:
            return await self.reader.readexactly(int(lengths[0]))
        if not codings:
            return await self.reader.read()
        chunks = []
        while chunk := await self.chunk():
            chunks.append(chunk)
        return b"".join(chunks)
