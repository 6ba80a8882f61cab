"""The origin's half of a connection: TLS over memory buffers, and requests read off it.

So each way to end a connection can be played: in order, without close_notify, by reset, garbled.
"""

import contextlib
import itertools
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.readiness import readable, writable

POLL = 0.02
BLOCK = 1 << 16


class GoneError(Exception):
    """The gateway has closed the connection."""


class EndedError(Exception):
    """The script has ended the connection, or the test is over."""


@dataclass
class Seen:
    """One request as the origin saw it; `complete` once its framing said so."""

    connection: int
    method: str
    target: bytes
    headers: list[tuple[str, str]]
    raw: bytearray
    content: bytearray = field(default_factory=bytearray)
    complete: bool = False

    @property
    def body(self) -> bytes:
        """Its content so far, without the framing."""
        return bytes(self.content)

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order, whatever the case of its name."""
        return [value for found, value in self.headers if found == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a field that must not occur twice."""
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


class Wire:
    """One accepted connection, TLS unless `context` is None."""

    def __init__(self, number: int, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self.number = number
        self.socket = sock
        self.ending = threading.Event()
        self.received = bytearray()
        self._unread = bytearray()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (
            context.wrap_bio(self._incoming, self._outgoing, server_side=True) if context else None
        )

    def handshake(self) -> None:
        """Completes the TLS handshake."""
        while self.tls:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._pump()
            except ssl.SSLError:
                self._flush()
                raise
            else:
                self._flush()
                return

    def read(self) -> bytes:
        """Some bytes of the gateway's; raises `GoneError` at its end."""
        if not self._unread:
            self._fill()
        data, self._unread = bytes(self._unread), bytearray()
        return data

    def unread(self, data: bytes) -> None:
        """Gives bytes back, to be read next."""
        self._unread[:0] = data

    def _fill(self) -> None:
        while not self._unread:
            self._unread += self._decrypted() or b""
            if not self._unread:
                self._pump()

    def _decrypted(self) -> bytes | None:
        if self.tls is None:
            data = self._incoming.read()
        else:
            try:
                data = self.tls.read(BLOCK)
            except ssl.SSLWantReadError:
                return None
            if not data:
                raise GoneError
        self.received += data
        return data

    def _pump(self) -> None:
        """Waits for bytes of the network and feeds them to TLS."""
        while not readable(self.socket, POLL):
            if self.ending.is_set():
                raise EndedError
        data = self.socket.recv(BLOCK)
        if not data:
            raise GoneError
        self._incoming.write(data)

    def wait(self, event: threading.Event) -> None:
        """Waits for `event`, noticing when the gateway leaves or the test ends."""
        while not event.is_set():
            if self.ending.is_set():
                raise EndedError
            if readable(self.socket, POLL):
                data = self.socket.recv(BLOCK)
                if not data:
                    raise GoneError
                self._incoming.write(data)
                while more := self._decrypted():
                    self._unread += more

    def send(self, data: bytes) -> None:
        """Sends everything, blocking as long as the gateway does not read."""
        for start in range(0, len(data), BLOCK):
            piece = data[start : start + BLOCK]
            if self.tls is None:
                self._outgoing.write(piece)
            else:
                self.tls.write(piece)
            self._flush()

    def _flush(self) -> None:
        view = memoryview(self._outgoing.read())
        while view:
            if writable(self.socket, POLL):
                view = view[self.socket.send(view) :]
            elif self.ending.is_set():
                raise EndedError

    def end(self, how: str) -> None:
        """Ends it: "close" in order, "abort" without close_notify, "reset" or "garble".

        What `tls` was given and not sent yet goes out together with the close_notify.
        """
        if how == "garble":
            self.socket.sendall(b"\x17\x03\x03\x00\x20" + b"\xff" * 32)
        if how == "close" and self.tls is not None:
            with contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()
            self._flush()
        if how == "reset":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()
        else:
            self.socket.shutdown(socket.SHUT_WR)
            self.drain()
        raise EndedError

    def drain(self) -> None:
        """Reads until the gateway closes, so that no reset destroys what it has not read yet."""
        self.socket.settimeout(2)
        with contextlib.suppress(OSError):
            while self.socket.recv(BLOCK):
                pass


class Reader:
    """Reads requests off a wire and records them as they come."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def head(self) -> Seen:
        """The next request's head; what follows it stays unread."""
        buffer = bytearray()
        while b"\r\n\r\n" not in buffer:
            buffer += self._wire.read()
        raw, _, rest = bytes(buffer).partition(b"\r\n\r\n")
        self._wire.unread(rest)
        line, *lines = raw.split(b"\r\n")
        method, target, _ = line.split(b" ")
        pairs = (field.decode("latin-1").split(":", 1) for field in lines)
        headers = [(name.lower(), value.strip(" \t")) for name, value in pairs]
        head = bytearray(raw + b"\r\n\r\n")
        return Seen(self._wire.number, method.decode(), target, headers, head)

    def body(self, seen: Seen) -> None:
        """Reads the body to its end, into `seen`."""
        if seen.all("transfer-encoding"):
            self._chunks(seen)
        else:
            self._sized(seen, int(seen.get("content-length") or 0))
        seen.complete = True

    def _sized(self, seen: Seen, size: int) -> None:
        while size:
            data = self._wire.read()
            taken = data[:size]
            self._wire.unread(data[size:])
            seen.content += taken
            seen.raw += taken
            size -= len(taken)

    def _chunks(self, seen: Seen) -> None:
        while size := int(self._line(seen), 16):
            self._sized(seen, size)
            assert self._line(seen) == b""
        while self._line(seen):
            pass

    def _line(self, seen: Seen) -> bytes:
        buffer = bytearray()
        while b"\r\n" not in buffer:
            buffer += self._wire.read()
        line, _, rest = bytes(buffer).partition(b"\r\n")
        self._wire.unread(rest)
        seen.raw += line + b"\r\n"
        return line


class Acceptor:
    """Accepts connections on a fixed port of 127.0.0.1, each served by its own thread."""

    def __init__(self, serve: Callable[[socket.socket, int], None]) -> None:
        self._serve = serve
        self._numbers = itertools.count(1)
        self.port = 0
        self._listener: socket.socket | None = None
        self.open()

    def open(self) -> None:
        """Listens, on the same port as before if there was one."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Takes no more connections: the next one is refused."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                arguments = (sock, next(self._numbers))
                threading.Thread(target=self._serve, args=arguments, daemon=True).start()
