"""A caller made of a bare socket: sends any bytes, and reads replies with a strict parser (h11).

Never an HTTP client library: those would repair or hide what is to be seen.
"""

import contextlib
import json
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

import h11

from tests.support.readiness import readable, ready

BLOCK = 1 << 16
MAX_HEAD = 1 << 20
SAID = 1 << 12
PATIENCE = 20.0  # seconds: what a busy machine may take for what comes at once on a quiet one


class NoReplyError(AssertionError):
    """The connection ended, or time was up, before a reply's head had come."""


@dataclass
class Reply:
    """One reply: names in lower case, text as Latin-1, `complete` if its framing says so."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    complete: bool = False
    interim: list[int] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for found, value in self.headers if found == name]

    def get(self, name: str) -> str | None:
        """The value of a field that must not occur twice."""
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Connection:
    """A caller's connection. `received` keeps every byte that came."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ended = False
        self._read_up_to = 0
        self.received = bytearray()
        self.said = bytearray()  # the beginning of each `send`

    def send(self, data: bytes, *, lenient: bool = False, timeout: float = 20) -> None:
        """Sends everything, reading meanwhile; `lenient` lets the other side close half-way."""
        sent = self._send_some(data, time.monotonic() + timeout, timeout)
        assert lenient or sent == len(data), f"only {sent} of {len(data)} bytes were taken"

    def send_until_blocked(self, data: bytes, patience: float = 0.7) -> int:
        """Sends until nothing more is taken for `patience` seconds; how many bytes were."""
        return self._send_some(data, time.monotonic() + 30, patience)

    def _send_some(self, data: bytes, deadline: float, patience: float) -> int:
        self.said += data[:SAID]
        view = memoryview(data)
        while view and time.monotonic() < deadline:
            readable, writable = ready(self._socket, patience)
            if readable:
                self._receive()
                if self._ended:
                    break
            if not readable and not writable:
                break
            if writable:
                try:
                    view = view[self._socket.send(view[:BLOCK]) :]
                except (BrokenPipeError, ConnectionResetError):
                    break
        return len(data) - len(view)

    def _receive(self) -> bytes:
        try:
            data = self._socket.recv(BLOCK)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        self._ended = self._ended or not data
        self.received += data
        return data

    def _wait_for_more(self, deadline: float) -> bool:
        """Receives once, or says that nothing will come, or not in time."""
        remaining = deadline - time.monotonic()
        if self._ended or remaining <= 0:
            return False
        if not readable(self._socket, remaining):
            return False
        return bool(self._receive())

    def reply(self, method: str = "GET", timeout: float = PATIENCE) -> Reply:
        """Reads one reply, parsed as strictly as h11 can; raises `NoReplyError` without one."""
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        reader = _Reader(parser)
        deadline = time.monotonic() + timeout
        before = len(self.received)
        if before > self._read_up_to:  # to h11 no bytes mean the end
            parser.receive_data(bytes(self.received[self._read_up_to :]))
        while not reader.step():
            if not self._wait_for_more(deadline):
                if self._ended:
                    reader.end()
                break
            parser.receive_data(bytes(self.received[before:]))
            before = len(self.received)
        self._read_up_to = len(self.received) - len(parser.trailing_data[0])
        if reader.reply is None:
            message = f"no reply within {timeout} s (ended: {self._ended})"
            raise NoReplyError(message)
        return reader.reply

    def until(self, marker: bytes, timeout: float = PATIENCE) -> None:
        """Waits until `marker` has been received."""
        deadline = time.monotonic() + timeout
        while marker not in self.received:
            assert self._wait_for_more(deadline), (marker, bytes(self.received[-300:]))

    def closed(self, timeout: float = PATIENCE) -> bool:
        """Whether the other side closes within `timeout`."""
        deadline = time.monotonic() + timeout
        while self._wait_for_more(deadline):
            pass
        return self._ended

    def rest(self, timeout: float = PATIENCE) -> bytes:
        """What is still unread when the other side has closed, which it must."""
        assert self.closed(timeout)
        return bytes(self.received[self._read_up_to :])

    def rest_is_refusal_or_close(self) -> bool:
        """Whether only a 400 or 408, or nothing at all, comes before the close."""
        return self.rest()[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.1 408"}

    def finish(self) -> None:
        """Ends the sending side only (FIN)."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Breaks the connection off (RST)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Closes the socket, in order."""
        with contextlib.suppress(OSError):
            self._socket.close()


class _Reader:
    """Collects one reply from a parser that is fed from outside."""

    def __init__(self, parser: h11.Connection) -> None:
        self._parser = parser
        self._interim: list[int] = []
        self._body = bytearray()
        self.reply: Reply | None = None

    def step(self) -> bool:
        """Takes what the parser has; true once the reply is over."""
        while True:
            event = self._parser.next_event()
            match event:
                case h11.InformationalResponse():
                    self._interim.append(event.status_code)
                case h11.Response():
                    headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in event.headers]
                    self.reply = Reply(event.status_code, headers, interim=self._interim)
                case h11.Data():
                    self._body += event.data
                case h11.EndOfMessage():
                    assert self.reply is not None
                    assert not list(event.headers), "trailers"
                    self.reply.body, self.reply.complete = bytes(self._body), True
                    return True
                case _:
                    if self.reply is not None:
                        self.reply.body = bytes(self._body)
                    return False

    def end(self) -> None:
        """The connection has ended: a body that only the close delimits is complete now."""
        with contextlib.suppress(h11.RemoteProtocolError):
            self._parser.receive_data(b"")
            self.step()
