"""One HTTP/1.1 connection: exchanges one after the other, until it cannot be reused.

Rule: after anything but a complete, valid exchange the connection is closed, never reused.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from gateway.deadline import NEVER, Deadline
from gateway.errors import UpstreamError
from gateway.model import RequestBody
from gateway.shares import Party
from gateway.upstream.failures import failure
from gateway.upstream.known_replies import KnownReplies
from gateway.upstream.reply_parser import ReplyParser
from gateway.upstream.reply_stream import HIGH_WATER, ReplyStream
from gateway.upstream.request_encoder import BodyEncoder, Encoded
from gateway.upstream.wire import WireReader

Expiring = Literal["idle", "read_timeout", "write_timeout"]  # what a deadline ends


class ConnectionWire(Protocol):
    """What a connection needs of the wire below it: see `wire.Wire`, which is one."""

    @property
    def congested(self) -> bool:
        """Whether `drain` would wait."""
        ...

    def attach(self, reader: WireReader) -> None:
        """From now on `reader` gets what comes."""

    def readable(self) -> bool:
        """Whether anything has come that the reader has not seen."""
        ...

    def write(self, data: bytes) -> None:
        """Sends without blocking: after many bytes, await `drain`."""

    async def drain(self) -> None:
        """Waits until the peer has taken enough."""

    def not_taken(self) -> int:
        """How many bytes the peer has not taken yet."""
        ...

    def pause_reading(self) -> None:
        """Lets the peer wait."""

    def resume_reading(self) -> None:
        """Undoes `pause_reading`."""

    def close(self) -> None:
        """Ends it in order."""

    def abort(self) -> None:
        """Ends it at once."""


class StaleConnectionError(UpstreamError):
    """A reused connection turned out to be closed before any byte of a reply came."""

    def __init__(self, *, sent: bool) -> None:
        cause = failure("closed", sent=sent)
        super().__init__(cause.key, cause.kind, sent=sent)


class Hooks(NamedTuple):
    """How a connection reports to its pool: that it is free again; that it is closed (once)."""

    freed: Callable[["Connection"], None]
    closed: Callable[["Connection"], None]


class Lifetime(NamedTuple):
    """When a connection stops being reused: `expires` is loop time, `idle` seconds."""

    expires: float
    idle: float


class Connection:
    """A connection in a pool. It takes one exchange at a time."""

    def __init__(self, wire: ConnectionWire, hooks: Hooks, lifetime: Lifetime) -> None:
        self.closed = False
        self.served = 0
        self.party: Party | None = None  # who holds it: its pool's to say
        self._wire = wire
        self._hooks = hooks
        self._lifetime = lifetime
        self._loop = asyncio.get_running_loop()
        self._reply: ReplyStream | None = None
        self._read_timeout = NEVER
        self._write_timeout = NEVER
        self._not_taken = 0  # bytes, when the write timeout was armed last
        self._replies = KnownReplies()
        self._deadline = Deadline(self._loop, self._expired)
        self._expiring: Expiring = "idle"
        wire.attach(self)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "idle" if self._reply is None else "active"
        return f"<Connection {state}, {self.served} served>"

    @property
    def aged(self) -> bool:
        """Whether it is too old for another exchange."""
        return self._loop.time() >= self._lifetime.expires

    async def exchange(self, request: Encoded) -> ReplyStream:
        """Sends a request and returns its reply once the head is there; the body may follow.

        Raises UpstreamError (StaleConnectionError if another connection may do better), whatever
        the request's stream raises, or CancelledError; the connection is closed then.
        """
        self._check_fit()
        self._read_timeout = request.timeouts.read
        parser = ReplyParser(to_head=request.to_head, replies=self._replies)
        self._reply = reply = ReplyStream(self, parser, self._loop)
        self._wire.write(request.data)
        if request.stream is None:
            self._expiring = "read_timeout"
            self._deadline.set(self._read_timeout)
        else:
            self._deadline.at = NEVER  # the caller's pace is not the upstream's fault
            reply.upload = self._loop.create_task(self._upload(reply, request, request.stream))
        failure: BaseException
        try:
            if reply.incomplete_head():
                await reply.next_bytes()
            if reply.incomplete_head() or reply.error is not None:
                await reply.head()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failure = error
        else:
            return reply
        await reply.aclose()
        closed = isinstance(failure, UpstreamError) and failure.kind == "closed"
        if closed and self.served and not reply.parser.started:
            raise StaleConnectionError(sent=True)
        raise failure

    def close(self) -> None:
        """Closes a connection that is not in use, with a close_notify."""
        self._wire.close()
        self._retire()

    def abort(self) -> None:
        """Closes at once: an exchange in progress stays incomplete on both sides."""
        self._wire.abort()
        self._retire()

    def on_data(self, data: bytes) -> None:
        """Takes bytes of the reply; those that no request asked for end the connection."""
        reply = self._reply
        if reply is None:
            self.abort()
            return
        parser = reply.parser
        try:
            parser.feed(data)
        except UpstreamError as error:
            self._fail(error)
            return
        if parser.complete:
            self._finish(reply)
        elif parser.buffered > HIGH_WATER and not reply.paused:
            reply.paused = True
            self._wire.pause_reading()
        if parser.status:
            reply.wake()

    def on_end(self, *, clean: bool, kind: str) -> None:
        """The connection has ended, and with it a reply in progress, whole or truncated."""
        reply = self._reply
        if reply is None:
            self.abort()
            return
        try:
            reply.parser.end(clean=clean)
        except UpstreamError as error:
            self._fail(failure("tls", sent=True) if kind == "tls" else error)
            return
        self._finish(reply)
        reply.wake()

    def reading(self) -> None:
        """The reader waits: the read timeout runs, unless the upstream may wait for our body."""
        if self._reply is not None and self._reply.upload is not None and not self._wire.congested:
            self._deadline.at = NEVER
        else:
            self._arm(self._read_timeout, "read_timeout")

    def resume(self) -> None:
        """The reader has caught up."""
        if self._reply is not None:
            self._reply.paused = False
        self._wire.resume_reading()

    def _check_fit(self) -> None:
        """Bytes, or an end, that came between exchanges make it unusable (RFC 9112 6.3).

        Also those that only the kernel has seen so far: they would be read as this request's reply.
        """
        if self.served and not self.closed and (self._wire.readable() or self.aged):
            self.close()
        if self.closed:
            raise StaleConnectionError(sent=False)

    async def _upload(self, reply: ReplyStream, request: Encoded, stream: RequestBody) -> None:
        """Sends the body as the caller delivers it; goes on while an early reply streams."""
        wire, parser, encoder = self._wire, reply.parser, BodyEncoder(request.length)
        try:
            async for data in stream:
                wire.write(encoder.piece(data))
                if wire.congested:
                    await self._drain(reply, request.timeouts.write)
            wire.write(encoder.end())
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - its reader's to raise
            self._fail(error)
        else:
            reply.upload = None
            if not parser.status or reply.waiting:
                self._arm(self._read_timeout, "read_timeout")

    async def _drain(self, reply: ReplyStream, timeout: float) -> None:  # noqa: ASYNC109
        """Waits until the upstream has read enough. After the head only its reader's time runs."""
        if not reply.parser.status:
            self._write_timeout, self._not_taken = timeout, self._wire.not_taken()
            self._arm(timeout, "write_timeout")
        elif reply.waiting:
            self._arm(self._read_timeout, "read_timeout")
        await self._wire.drain()
        self._deadline.at = NEVER

    def _finish(self, reply: ReplyStream) -> None:
        """The reply is whole: the connection is reused or closed."""
        if reply.upload is not None:
            self.abort()  # RFC 9112 9.3: the rest of the request is not worth sending
        elif not reply.parser.keep_alive:
            self.close()
        else:
            if reply.paused:  # its end came in the same read that made it pause
                self._wire.resume_reading()
            reply.source = self._reply = None
            self.served += 1
            self._expiring = "idle"
            self._deadline.set(self._lifetime.idle)
            self._hooks.freed(self)

    def _fail(self, error: BaseException) -> None:
        if self._reply is not None:
            self._reply.fail(error)
        self.abort()

    def _retire(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._deadline.close()
        reply, self._reply = self._reply, None
        if reply is not None:
            self._release(reply)
        self._hooks.closed(self)

    def _release(self, reply: ReplyStream) -> None:
        reply.source = None
        if reply.upload is not None:
            reply.upload.cancel()
        if not reply.parser.complete and reply.error is None:
            reply.fail(failure("closed", sent=True))

    def _arm(self, seconds: float, expiring: Expiring) -> None:
        self._expiring = expiring
        self._deadline.set(seconds)

    def _expired(self) -> None:
        if self._reply is None or self._expiring == "idle":
            self.close()
        elif self._expiring == "write_timeout":
            self._check_progress()
        elif self._reply.waiting:
            self._fail(failure(self._expiring, sent=True))

    def _check_progress(self) -> None:
        """Waits on for an upstream that still reads, however slowly."""
        before, self._not_taken = self._not_taken, self._wire.not_taken()
        if self._not_taken < before:
            self._arm(self._write_timeout, "write_timeout")
        else:
            self._fail(failure("write_timeout", sent=True))
