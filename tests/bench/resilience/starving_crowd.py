"""The other side of a run with starving callers: an origin, and a crowd that misbehaves in one way.

`python -m tests.bench.resilience.starving_crowd origin CERTIFICATE` prints its port;
`python -m tests.bench.resilience.starving_crowd KIND PORT TOKEN`, with KIND one of `KINDS`. Each is
a process of its own, so that measuring does not wait for them.
"""

import asyncio
import contextlib
import socket
import sys
from itertools import count
from pathlib import Path
from typing import Final, cast

import httptools
import uvloop

from tests.support.certificates import server_context

KINDS: Final = {
    "uploads": "uploads of one byte every 2 s",
    "readers": "readers that take 1 KiB a second",
    "late": "requests that are answered after 20 s",
    "flood": "a flood, as fast as it is answered",
    "refused": "a flood of strangers, as fast as they are refused",
    "flood-640": "a flood on 640 connections, as fast as it is answered",
    "refused-640": "a flood of strangers on 640 connections, as fast as they are refused",
}
# How many connections: of floods, and of others, which are more than there are to Invopop.
FLOODS: Final = {"flood": 64, "refused": 64, "flood-640": 640, "refused-640": 640}
_CROWD: Final = 400
_LATE: Final = 20.0
_PIECES: Final = 256  # of a large reply: more than all buffers on the way hold
_PIECE: Final = bytes(64 << 10)
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
_SMALL: Final = b'{"id":"0193","list":[1,2,3]}'
_TENANTS: Final = ("globex", "initech")


class _Origin(asyncio.Protocol):
    """Answers late or with much where the path says so, else at once."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._left, self._paused = 0, False

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._go_on()

    def _go_on(self) -> None:
        """Writes more of a large reply, as fast as it is read."""
        while self._left and not self._paused and not self._transport.is_closing():
            self._left -= 1
            self._transport.write(_PIECE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_message_complete(self) -> None:
        path = self._path
        self._begin()
        if path == b"/large":
            self._transport.write(_HEAD % (_PIECES * len(_PIECE)))
            self._left = _PIECES
            self._go_on()
        else:
            after = _LATE if path == b"/late" else 0
            asyncio.get_running_loop().call_later(after, self._answer)

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % len(_SMALL) + _SMALL)


async def _serve(certificate: Path) -> None:
    loop = asyncio.get_running_loop()
    context = server_context(certificate)
    server = await loop.create_server(_Origin, "127.0.0.1", 0, ssl=context, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def _head(method: str, path: str, number: int, token: str, *fields: str) -> bytes:
    tenant = f"X-Invopop-Tenant: {_TENANTS[number % 2]}"
    lines = [f"{method} {path} HTTP/1.1", "Host: gw", tenant, f"Authorization: Bearer {token}"]
    return "\r\n".join([*lines, *fields, "", ""]).encode()


async def _misbehave(kind: str, port: int, token: str, number: int) -> None:
    """One connection's life."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # as who does not want to read
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4096)
    try:
        if kind == "uploads":
            writer.write(_head("POST", "/x", number, token, "Content-Length: 1000000"))
            while not reader.at_eof():
                writer.write(b"x")
                await asyncio.sleep(2)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(4096), 0.01)
        elif kind in FLOODS:
            while True:
                shown = token if kind.startswith("flood") else "igw_unknown"
                writer.write(_head("GET", "/x", number, shown))
                await reader.readuntil(b"\r\n\r\n")
                await reader.read(4096)
        else:
            path = "/late" if kind == "late" else "/large"
            writer.write(_head("GET", path, number, token))
            while await reader.read(1024):
                await asyncio.sleep(1)
    finally:
        writer.transport.abort()


async def _crowd(kind: str, port: int, token: str) -> None:
    """So many connections, each replaced when it ends."""

    async def one(number: int) -> None:
        for again in count():
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await _misbehave(kind, port, token, number + again)
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as group:
        for number in range(FLOODS.get(kind, _CROWD)):
            group.create_task(one(number))


def main() -> None:
    """Serves, or misbehaves, until it is killed."""
    what, *rest = sys.argv[1:]
    work = _serve(Path(rest[0])) if what == "origin" else _crowd(what, int(rest[0]), rest[1])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


if __name__ == "__main__":
    main()
