"""A caller's connection, apart from HTTP: its peer, back-pressure both ways, and how it ends.

Rule: either the caller reads what is written in time, or the connection is cut.
"""

import asyncio
import select
import socket
import struct
from typing import Any, Final, Generic, TypeVar, cast

from gateway.deadline import NEVER, Deadline
from gateway.flush_queue import SMALL
from gateway.model import CALLER_LEFT, CALLER_SLOW, CALLER_STALLED
from gateway.server.connections import OpenConnection, name_of
from gateway.server.listener import READ_BLOCK, Listener, RequestInFlight
from gateway.server.pace import Pace
from gateway.server.sockets import address_of, read_peer
from gateway.socket_queues import acknowledged, unsent

# How many bytes may be held unread by the app, or unsent to the caller, until no more are taken.
HIGH_WATER: Final = 64 * 1024
# RFC 9112 9.6: how long, after its connection's last reply, a caller may send nothing, and how long
# it may go on sending in all. Its request may be a long upload (psf/requests#2422).
LINGER_SILENCE = 5.0  # not Final, as the next: tests set them, also where the module is compiled
LINGER_IN_ALL = 30.0
LINGER_WHOLE: Final = 2.0  # the silence, where all of the request had been read
# Announced idle time ends first at the caller: else its next request may meet our close.
IDLE_MARGIN: Final = 1.0
# How often a connection that is not read for now is checked for its caller's having left.
LOOK_SECONDS = 1.0
_LOOKS: Final = 4  # how often within `write_timeout` or the grace a caller that lags is looked at
_HUNG_UP: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
_CLOCK_STEP: Final = 0.002  # timers count whole milliseconds, and may be early by one
_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
_RESET: Final = struct.pack("ii", 1, 0)  # socket(7): SO_LINGER on, for no time

C = TypeVar("C", bound=RequestInFlight)


class CallerConnection(asyncio.BufferedProtocol, Generic[C]):
    """The server's end of a connection. Once it is `_deaf` it takes no further request.

    All connections of a listener are read into one block: what they keep of it is their own copy.
    One replaces its TLS `handshake` among the connections, so that both count as one.
    """

    def __init__(self, listener: Listener, handshake: OpenConnection | None = None) -> None:
        self.listener = listener
        self._handshake = handshake
        self._held = b""  # of what is written, until `flush`
        self.limits = listener.limits
        self._block = listener.block
        self.cycle: C | None = None
        self.write_paused = False
        self._deaf = False
        self._retired = False
        self._ended = self._lingering = False
        self._linger_silence = LINGER_SILENCE
        self._linger_until = NEVER
        self.keep_alive = b"keep-alive: timeout=%d\r\n\r\n" % self.limits.idle_timeout
        self._reading = True
        self._taken = 0  # as `_taken_so_far`, when the write deadline was set last
        self._moved_at = 0.0  # when it was last seen to grow, in loop time
        self._look_again = min(self.limits.write_timeout, self.limits.grace) / _LOOKS
        self._reading_pace = Pace(self.limits.min_rate, self.limits.grace)
        self._drain: asyncio.Future[None] | None = None
        self._read_deadline = Deadline(listener.loop, self._read_expired)
        self._write_deadline = Deadline(listener.loop, self._write_expired)
        self._next_look = Deadline(listener.loop, self._look)

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the time in which the first head must come."""
        self._transport = cast("asyncio.Transport", transport)
        if self._handshake is not None:
            self.listener.connections.discard(self._handshake)
            self._handshake = None
            # Of what is still encrypted.
            cast("Any", transport).set_read_buffer_limits(high=READ_BLOCK)
        self.peer = read_peer(transport)
        name = name_of(self.peer)
        if not self.listener.admits(name):
            self.abort()
            return
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": _ASGI,
            "root_path": "",
            "scheme": "http" if transport.get_extra_info("sslcontext") is None else "https",
            "client": address_of(transport, "peername"),
            "server": address_of(transport, "sockname"),
        }
        self.listener.connections.add(self, name)
        self._read_deadline.set(self.listener.first_byte_seconds())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Where the next bytes are read to: never more than `listener.READ_BLOCK` at once."""
        return self._block

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        self.data_received(self._block[:nbytes].tobytes())

    def data_received(self, data: bytes) -> None:
        """Takes bytes from the caller."""
        raise NotImplementedError

    def eof_received(self) -> bool:
        """A caller that ends its side while it has no reply yet counts as gone."""
        if self.cycle is None:
            return False
        at_hand = self.cycle.at_hand or self.cycle.is_delivered()
        if at_hand and self._transport.can_write_eof():
            self._ended = True
            return True  # it gets the rest
        self._leave(CALLER_LEFT)
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Ends the request in flight, and every wait for this connection."""
        self._deaf = True
        self._held = b""
        if self.cycle is not None:
            self.cycle.cancel(CALLER_LEFT)
            self.cycle = None
        self.write_paused = False
        self._wake_writer()
        self._read_deadline.close()
        self._write_deadline.close()
        self._next_look.close()
        self.listener.connections.discard(self)
        self.listener.departed()

    def pause_writing(self) -> None:
        """The caller reads more slowly than we write."""
        self.write_paused = True
        self._watch_flush()

    def resume_writing(self) -> None:
        """The caller has caught up, almost: the rest of a last reply must still leave in time."""
        self.write_paused = False
        self._reading_pace.hold(self._taken_since(), self.listener.loop.time())
        self._write_deadline.at = NEVER
        if self._deaf:
            self._watch_flush()
        self._wake_writer()

    def _wake_writer(self) -> None:
        if self._drain is not None and not self._drain.done():
            self._drain.set_result(None)

    # For requests: see `cycle_connection.CycleConnection`.

    def write(self, data: bytes) -> None:
        data = self._held + data if self._held else data
        if len(data) <= SMALL and (self._held or self.listener.flushes.add(self)):
            self._held = data
        else:
            self._held = b""
            self._transport.write(data)

    def flush(self) -> None:
        """Sends what is held back: see `flush_queue.Flushable`."""
        if self._held:
            data, self._held = self._held, b""
            self._transport.write(data)

    async def drained(self) -> None:
        if self.write_paused:
            self._drain = self.listener.loop.create_future()
            await self._drain

    def cut(self, *, reset: bool) -> None:
        self.cycle = None
        if reset:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.abort()
        else:
            self._close()

    # Deadlines and ends; the public ones are for the listener: see `connections.OpenConnection`.

    def _read_expired(self) -> None:
        """What the caller should have sent has not come in time."""
        if self._lingering and self._transport.get_write_buffer_size():
            self._read_deadline.set(self._linger_silence)
        else:
            self._close()

    def _watch_flush(self) -> None:
        """From now on, bytes must leave at least every `write_timeout`, and at `min_rate`."""
        if self._transport.get_write_buffer_size():
            self._moved_at = now = self.listener.loop.time()
            self._taken = self._taken_so_far()
            self._reading_pace.turn(now)
            self._write_deadline.set(self._look_again)

    def _write_expired(self) -> None:
        now, taken = self.listener.loop.time(), self._taken_since()
        if not self._transport.get_write_buffer_size():
            self._reading_pace.hold(taken, now)
            return
        if taken:
            self._moved_at = now
        if now - self._moved_at >= self.limits.write_timeout - _CLOCK_STEP:
            self._leave(CALLER_STALLED)
        elif taken and not self._reading_pace.moved(taken, now):
            self._leave(CALLER_SLOW)
        else:
            self._write_deadline.set(self._look_again)

    def _linger(self, silence: float) -> None:
        """Ends our side; what the caller sends is read and dropped for a while (RFC 9112 9.6).

        Without this a reset could overtake the reply on its way to a caller that still sends.
        It ends after `silence` seconds without a byte.
        """
        self._deaf = self._lingering = True
        self._linger_silence = silence
        self._linger_until = self.listener.loop.time() + LINGER_IN_ALL
        self._resume_reading()
        self.flush()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._read_deadline.set(silence)
        self._watch_flush()

    def _discard(self) -> None:
        """Drops what came for a connection that takes no further request."""
        if not self._lingering:
            self._pause_reading()  # until the last reply is on its way
        elif self.listener.loop.time() < self._linger_until:
            self._read_deadline.set(self._linger_silence)
        else:
            self._close()

    def _close(self) -> None:
        self._deaf = True
        self._read_deadline.at = NEVER
        self.flush()
        self._watch_flush()
        self._transport.close()

    def _leave(self, message: str) -> None:
        if self.cycle is not None:
            self.cycle.cancel(message)
        self.abort()

    def close_if_idle(self) -> None:
        self._close()

    def retire(self) -> None:
        self._retired = True
        if self.cycle is None and not self._deaf:
            self._close()

    def abort(self) -> None:
        self._deaf = True
        self.flush()
        self._transport.abort()

    def _pause_reading(self) -> None:
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()
            self._next_look.set(LOOK_SECONDS)

    def _look(self) -> None:
        """Polls whether the caller has left: a connection that is not read does not report it."""
        cycle = self.cycle
        if self._reading or cycle is None or cycle.at_hand or self._transport.is_closing():
            return
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket"), _HUNG_UP)
        if poll.poll(0):
            self._leave(CALLER_LEFT)
        else:
            self._next_look.set(LOOK_SECONDS)

    def _resume_reading(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def _taken_since(self) -> int:
        """How many bytes the caller has taken since this was asked last; nothing was written."""
        before, self._taken = self._taken, self._taken_so_far()
        return max(self._taken - before, 0)

    def _taken_so_far(self) -> int:
        """Grows by what the caller takes, while nothing is written."""
        sock = self._transport.get_extra_info("socket")
        taken = acknowledged(sock)
        return (
            taken if taken is not None else -self._transport.get_write_buffer_size() - unsent(sock)
        )
