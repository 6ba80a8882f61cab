"""U: a scripted upstream on raw TLS sockets, which records every byte that it is sent.

A script is a plain function, run in a thread for each connection: it reads, sends, stalls, resets
or closes as a test wants it to. So one origin serves tests of a transport within the test's own
event loop and tests of a whole gateway process alike.
"""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple, Self

from tests.support.certificates import accept_tls

PATIENCE = 10.0  # seconds after which a test that waits has failed


class Request(NamedTuple):
    """A request as it came: `raw` is every byte of it, header names are as they were sent."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    raw: bytes

    def values(self, name: bytes) -> list[bytes]:
        """All values of a field, in order."""
        return [value for key, value in self.headers if key.lower() == name]


class Connection:
    """One accepted connection, as its script sees it. `received` holds all that came."""

    def __init__(self, sock: socket.socket, changed: threading.Condition) -> None:
        self.sock = sock
        self.received = bytearray()
        self.requests: list[Request] = []
        self.ended = False  # the peer closed or reset it
        self.sni: str | None = None
        self._changed = changed
        self._read = 0

    @property
    def alpn(self) -> str | None:
        """The protocol agreed on in the handshake."""
        return self.sock.selected_alpn_protocol() if isinstance(self.sock, ssl.SSLSocket) else None

    def request(self) -> Request | None:
        """The next whole request, or None if the peer closed first."""
        head = self.until(b"\r\n\r\n")
        if head is None:
            return None
        line, *lines = head[:-4].split(b"\r\n")
        method, target, _ = line.split(b" ")
        headers = [(n, v.strip()) for n, _, v in (field.partition(b":") for field in lines)]
        start = self._read - len(head)
        body = self._body({name.lower(): value for name, value in headers})
        if body is None:
            return None
        request = Request(method, target, headers, body, bytes(self.received[start : self._read]))
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        return request

    def until(self, mark: bytes) -> bytes | None:
        """The bytes up to and with `mark`, or None if the peer closed first."""
        while (end := self.received.find(mark, self._read)) < 0:
            if not self.more():
                return None
        return self._take(end + len(mark) - self._read)

    def exactly(self, size: int) -> bytes | None:
        """The next `size` bytes, or None if the peer closed first."""
        while len(self.received) - self._read < size:
            if not self.more():
                return None
        return self._take(size)

    def more(self) -> bool:
        """Receives what there is. False once the peer has closed or reset the connection."""
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            raise
        except OSError:
            data = b""
        with self._changed:
            self.received += data
            self.ended = self.ended or not data
            self._changed.notify_all()
        return bool(data)

    def drain(self) -> None:
        """Receives until the peer closes."""
        while self.more():
            pass

    def send(self, *pieces: bytes) -> None:
        """Sends, each piece in a write of its own. A peer that is gone does not matter."""
        with contextlib.suppress(OSError):
            for piece in pieces:
                self.sock.sendall(piece)

    def close(self, *, notify: bool = True) -> None:
        """Closes, with a TLS close_notify first or without."""
        if notify and isinstance(self.sock, ssl.SSLSocket):
            self.sock.settimeout(0)  # it says goodbye, but does not wait for the peer's own
            with contextlib.suppress(OSError, ValueError):
                self.sock.unwrap()
        self.sock.close()

    def half_close(self) -> None:
        """Ends the TCP stream towards the peer without a close_notify; goes on reading."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes with a TCP RST."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def _take(self, size: int) -> bytes:
        data = bytes(self.received[self._read : self._read + size])
        self._read += size
        return data

    def _body(self, headers: dict[bytes, bytes]) -> bytes | None:
        if headers.get(b"transfer-encoding") == b"chunked":
            return self._chunks()
        return self.exactly(int(headers.get(b"content-length", b"0")))

    def _chunks(self) -> bytes | None:
        body = b""
        while (line := self.until(b"\r\n")) is not None:
            size = int(line, 16)
            data = self.exactly(size + 2)
            if data is None or not size:
                return None if data is None else body
            body += data[:-2]
        return None


Script = Callable[[Connection], None]


def answering(*replies: bytes) -> Script:
    """A script that answers each request in turn, the last reply for ever; then reads on."""

    def script(connection: Connection) -> None:
        turn = 0
        while connection.request() is not None:
            connection.send(replies[min(turn, len(replies) - 1)])
            turn += 1

    return script


def in_turn(*scripts: Script) -> Script:
    """The first connection gets the first script, and so on; the last one for all that follow."""
    turns = iter(scripts)
    lock = threading.Lock()

    def script(connection: Connection) -> None:
        with lock:
            chosen = next(turns, scripts[-1])
        chosen(connection)

    return script


def ok(body: bytes = b"ok", *fields: bytes) -> bytes:
    """A 200 reply with a Content-Length."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *fields, b"", body]
    return b"\r\n".join(lines)


class Origin:
    """Listens on a free port of the loopback until left; `context` None speaks plain TCP."""

    def __init__(
        self, script: Script, context: ssl.SSLContext | None, *, host: str = "127.0.0.1"
    ) -> None:
        self.script = script
        self.context = context
        self.connections: list[Connection] = []
        self.failures: list[BaseException] = []
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}"

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        if error is None and self.failures:
            raise self.failures[0]

    @property
    def requests(self) -> list[Request]:
        """Every whole request that came, by connection."""
        return [request for connection in self.connections for request in connection.requests]

    @property
    def received(self) -> bytes:
        """Every byte that came, of all connections."""
        return b"".join(bytes(connection.received) for connection in self.connections)

    def wait(self, until: Callable[[], bool]) -> None:
        """Blocks until something holds true of what was recorded; fails the test otherwise."""
        with self._changed:
            assert self._changed.wait_for(until, PATIENCE), "the origin has waited in vain"

    def _spawn(self, run: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        for sock in self._accepted():
            self._spawn(self._serve, sock)

    def _accepted(self) -> Iterator[socket.socket]:
        while True:
            try:
                yield self._listener.accept()[0]
            except OSError:
                return

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, self._changed)
        with self._changed:
            self.connections.append(connection)
            self._changed.notify_all()
        try:
            if self.context is not None:
                self._shake(connection)
            self.script(connection)
        except (ssl.SSLError, ConnectionError):
            connection.ended = True
        except BaseException as error:
            self.failures.append(error)
        finally:
            connection.sock.close()
            with self._changed:
                self._changed.notify_all()

    def _shake(self, connection: Connection) -> None:
        assert self.context is not None
        named: list[str | None] = []
        self.context.sni_callback = lambda _sock, name, _context: named.append(name)
        connection.sock = accept_tls(self.context, connection.sock)
        connection.sni = named[0] if named else None
