"""HTTP/1.1 on one connection: reads requests one after the other, and when each of them is due.

Rule: at most one request is with the app; what comes behind it waits, unread beyond a bound, so
replies keep their order and nothing is ever written into one.
"""

import time
from typing import Final

from gateway.deadline import NEVER
from gateway.errors import CallerError, GatewayError
from gateway.events import ExchangeEnded
from gateway.model import Tunnel
from gateway.server.body import Body, ChunkedBody, SizedBody
from gateway.server.connection import (
    HIGH_WATER,
    IDLE_MARGIN,
    LINGER_SILENCE,
    LINGER_WHOLE,
)
from gateway.server.connections import OpenConnection
from gateway.server.cycle import Cycle
from gateway.server.head_reader import HeadReader
from gateway.server.http1 import NEVER_IN_HEAD
from gateway.server.listener import Listener
from gateway.server.pace import Pace
from gateway.server.reply import record, refusal
from gateway.server.tunnel import TunnelEnd
from gateway.server.turn_connection import TurnConnection
from gateway.socket_queues import unread

_TLS_HANDSHAKE: Final = b"\x16"  # RFC 8446 5.1: the first byte of a ClientHello's record
BLANK_LINES: Final = 2  # tolerated before a request: RFC 9112 2.2


class HttpProtocol(TurnConnection[Cycle]):
    """Between requests `cycle` is None; while a request's body is due, `_body` reads it."""

    def __init__(
        self,
        listener: Listener,
        handshake: OpenConnection | None = None,
        tunnel: Tunnel | None = None,
    ) -> None:
        super().__init__(listener, handshake, tunnel)
        self._heads = HeadReader()
        self._body: Body | None = None
        self._sending_pace: Pace | None = None  # of a body that did not come with its head
        self._blank_lines = 0
        self._head_since = 0.0
        self._served = False

    def data_received(self, data: bytes) -> None:
        """Bytes of a head, of a body, or of what must wait its turn."""
        if self._deaf:
            self._discard()
        elif self.cycle is None:
            self._head_comes(data)
        elif self._body is not None:
            self._read_body(self._body, self.cycle, data)
        else:
            self._buffer += data
            if len(self._buffer) + self.cycle.buffered > HIGH_WATER:
                self._pause_reading()

    def _read_head(self, data: bytes) -> None:
        seen = len(self._buffer)
        if seen:
            data = self._buffer + data
            self._buffer = b""
        if data[0] == 0x0D:
            data = self._skip_blank_lines(data)
        end = data.find(b"\r\n\r\n") + 4
        if end < 4 and len(data) <= self.limits.max_header_bytes:
            self._keep_partial_head(data, max(seen - 1, 0))
        elif not 4 <= end <= self.limits.max_header_bytes:
            self._refuse_head(CallerError("headers_too_large", cause="max_header_bytes"), data)
        else:
            self._begin(data[:end], data[end:])

    def _skip_blank_lines(self, data: bytes) -> bytes:
        """Blank lines move no deadline, so they cannot keep a connection open."""
        while data.startswith(b"\r\n") and self._blank_lines < BLANK_LINES:
            self._blank_lines += 1
            data = data[2:]
        return data

    def _keep_partial_head(self, data: bytes, seen: int) -> None:
        """Waits for the rest of a head, unless its beginning is already invalid."""
        if NEVER_IN_HEAD.search(data, seen) or data.startswith(b"\r\n"):
            self._refuse_head(CallerError("bad_request", "The request is malformed."), data)
            return
        self._buffer = data
        self.arrived = 0.0
        if data and not self._head_since:
            self._head_since = time.perf_counter()
            if self._served:  # the time of a connection's first head runs from its start
                self._read_deadline.set(self.limits.header_timeout)

    def _begin(self, head: bytes, rest: bytes) -> None:
        try:
            request = self._heads.read(head, self.limits.max_headers)
        except CallerError as error:
            self._refuse_head(error, head)
            return
        self._blank_lines = 0
        self._head_since = 0.0
        self._read_deadline.at = NEVER
        cycle = self.cycle = Cycle(self, self.listener, request)
        if cycle.whole:
            self._buffer = rest
            return
        length = request.content_length
        self._sending_pace = None
        self._body = ChunkedBody() if length is None else SizedBody(length)
        if rest:
            self._read_body(self._body, cycle, rest)
        elif not request.expect_continue:
            self.await_body()

    def _read_body(self, body: Body, cycle: Cycle, data: bytes) -> None:
        pace = self._sending_pace
        in_pace = pace is None or pace.moved(len(data), self.listener.loop.time())
        try:
            piece, rest = body.decode(data)
        except CallerError as error:
            self._break_body(cycle, error)
            return
        if piece:
            cycle.feed(piece)
        if rest is not None:
            self._body = None
            self._buffer = rest
            self._read_deadline.at = NEVER
            cycle.end()
        elif cycle.buffered > HIGH_WATER:
            self._read_deadline.at = NEVER  # until the app has caught up, the caller need not send
            if pace is not None:
                pace.hold(0, self.listener.loop.time())
            self._pause_reading()
        elif not in_pace:
            self._break_body(cycle, _too_slow(self.limits.min_rate))
        else:
            self.await_body()

    def _break_body(self, cycle: Cycle, error: CallerError) -> None:
        """The app may still reply, but nothing more is read here."""
        self._deaf = True
        self._body = None
        self._read_deadline.at = NEVER
        cycle.fail(error)

    # For the request in flight: see `cycle_connection.CycleConnection`.

    def await_body(self) -> None:
        limits, pace = self.limits, self._sending_pace
        self._read_deadline.set(limits.body_timeout)
        if pace is None:
            pace = self._sending_pace = Pace(limits.min_rate, limits.grace)
        pace.turn(self.listener.loop.time())

    def body_taken(self) -> None:
        if not self._reading:
            self._resume_reading()
            if self._body is not None:
                self.await_body()

    def closes_after(self, cycle: Cycle) -> bool:
        lasting = cycle.request.keep_alive and cycle.whole
        return not lasting or self._deaf or self._retired or self.listener.draining

    def replied(self, cycle: Cycle, *, closes: bool) -> None:
        self.cycle = None
        self._body = None
        self._served = True
        self.arrived = 0.0
        if self._ended or self._ends_whole(cycle):
            self._close()
        elif closes or self._retired or (self.listener.stopping and not self._buffer):
            self._linger(LINGER_WHOLE if cycle.whole else LINGER_SILENCE)
        else:
            self._read_on()

    def _ends_whole(self, cycle: Cycle) -> bool:
        """TLS cannot end our side alone; where the caller asked for the end, it sends no more."""
        return cycle.whole and not cycle.request.keep_alive and not self._transport.can_write_eof()

    def open_tunnel(self, tunnel: Tunnel) -> None:
        """Hands the connection over: what comes from now on is TLS."""
        self.cycle = None
        self.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.flush()
        self._resume_reading()
        self._deaf = True
        for deadline in (self._read_deadline, self._write_deadline, self._next_look):
            deadline.close()
        self.listener.connections.discard(self)
        inside = HttpProtocol(self.listener, tunnel=tunnel)
        inside.caller = self.caller
        TunnelEnd(self.listener, tunnel, inside, self._transport).begin(self.peer, self._buffer)

    def _read_on(self) -> None:
        """Reads the next request, once the caller has read enough of the replies so far."""
        if self.write_paused:
            self._read_deadline.at = NEVER  # its time to write is the caller's time to read
            self._pause_reading()
            return
        self._read_deadline.set(self.limits.idle_timeout + IDLE_MARGIN)
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self._head_comes(data)
        self._read_more()

    def resume_writing(self) -> None:
        """The caller has caught up: the next request may be read."""
        super().resume_writing()
        if self.cycle is None and not self._deaf and not self._waiting:
            self._read_on()

    # Refusals and ends.

    def refuse(self, error: GatewayError, cycle: Cycle) -> None:
        self.cycle = None
        self._refuse(error, cycle.request.method)

    def _refuse_head(self, error: CallerError, head: bytes) -> None:
        if head[:1] == _TLS_HANDSHAKE and self._transport.get_extra_info("sslcontext") is None:
            self.listener.tls_failures.add(self.peer.address, "tls_on_plain_port")
            error = CallerError("bad_request", "This port speaks plain HTTP: use http:// for it.")
        self._refuse(error, head.partition(b" ")[0].decode("latin-1"))

    def _refuse(self, error: GatewayError, method: str) -> None:
        """Answers in place of the app; this reply is the connection's last."""
        request_id = self.listener.new_request_id()
        now = time.perf_counter()
        exchange = record(error, request_id, method, self.peer)
        exchange.started = self._head_since or now
        exchange.seconds = now - exchange.started
        self._body = None
        self._buffer = b""
        reply = refusal(error, request_id, bodiless=method == "HEAD")
        exchange.bytes_out = len(reply.partition(b"\r\n\r\n")[2])
        self.write(reply)
        self._linger(LINGER_SILENCE)
        self.listener.emit(ExchangeEnded(exchange))

    def _read_expired(self) -> None:
        if self._deaf or self._waiting:
            super()._read_expired()
        elif not (self.cycle or self._buffer):
            self._close_unless_unread()
        elif self.cycle is not None:
            self._break_body(self.cycle, CallerError("request_timeout", cause="body"))
        else:
            self._refuse_head(CallerError("request_timeout", cause="head"), self._buffer)

    def close_if_idle(self) -> None:
        """Bytes that only the kernel has seen so far count as a request, too."""
        if self.cycle is not None or self._buffer or self._waiting or self._deaf:
            return
        if self._served:
            self._close_unless_unread()
        else:
            self._read_deadline.set(self.listener.first_byte_seconds())

    def _close_unless_unread(self) -> None:
        """A request that has reached the kernel in time is served, not reset."""
        if unread(self._transport.get_extra_info("socket")):
            self._read_deadline.set(self.limits.header_timeout)
        else:
            self._close()


def _too_slow(rate: int) -> CallerError:
    detail = f"Send the body faster: it must come at {rate} bytes a second or more."
    return CallerError("request_timeout", detail, cause="body_rate")
