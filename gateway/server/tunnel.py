"""A tunnel that a caller opened by CONNECT: its TLS is ended here, and HTTP goes on inside.

Rule: knows TLS and no HTTP. TLS runs over memory BIOs: the event loop's own keeps a buffer of
256 KiB for each connection, and 1,000 tunnels may be idle at once.
"""

import asyncio
import contextlib
import ssl
from typing import Any, Final, cast

from gateway.deadline import Deadline
from gateway.events import TlsFailureReason
from gateway.model import Peer, Tunnel
from gateway.server.connections import name_of
from gateway.server.listener import Listener
from gateway.server.tls_failures import why
from gateway.server.turn_connection import NEXT_TURN, TurnConnection

_RECORD: Final = 16 * 1024  # the most that one TLS record holds


class TunnelEnd(asyncio.BufferedProtocol, asyncio.Transport):
    """Our end: to the connection it is the protocol, and to the protocol inside the transport.

    Until its handshake is over it has its place among the listener's connections.
    """

    def __init__(
        self,
        listener: Listener,
        tunnel: Tunnel,
        inside: TurnConnection[Any],
        outside: asyncio.Transport,
    ) -> None:
        super().__init__()
        self._listener = listener
        self._inside = inside
        self._outside = outside
        self._context = tunnel.context
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = tunnel.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = False
        self._waits = False  # for its turn, with a part of its handshake
        self._ended = False
        self._deadline = Deadline(listener.loop, self._too_late)

    def begin(self, peer: Peer, data: bytes) -> None:
        """Takes over the connection of that peer; `data` is what came behind the CONNECT."""
        self._peer = peer
        self._listener.connections.add(self, name_of(peer))
        self._deadline.set(self._listener.limits.header_timeout)
        self._outside.set_protocol(self)
        if self._listener.stopping:
            self.close_if_idle()
        if data:
            self._take(data)

    # For the listener, during the handshake.

    def close_if_idle(self) -> None:
        """A caller that has just opened a tunnel is about to send: see `handshake`."""
        self._listener.loop.call_later(self._listener.first_byte_seconds(), self._give_up)

    def retire(self) -> None:
        self._outside.abort()

    # For the connection.

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._listener.block

    def buffer_updated(self, nbytes: int) -> None:
        self._take(self._listener.block[:nbytes].tobytes())

    def _take(self, data: bytes) -> None:
        if self._ended:
            return
        self._incoming.write(data)
        if self._shaken or self._may_shake():
            self._go_on()

    def _may_shake(self) -> bool:
        """Handshakes cost as much as several requests: those of a flood wait, by their caller."""
        if self._waits:
            return False
        if self._listener.handshakes.begin():
            return True
        self._waits = True
        self._outside.pause_reading()
        self._listener.handshakes.wait(self._inside.caller, self)
        return False

    def take_turn(self) -> bool:
        """Goes on with the handshake: see `turns.Waiter`."""
        self._waits = False
        if self._ended or self._outside.is_closing():
            return False
        self._outside.resume_reading()
        self._go_on()
        return True

    def _go_on(self) -> None:
        try:
            if not self._shaken:
                self._shake()
            self._decrypt()
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()

    def eof_received(self) -> None:
        if self._shaken and not self._ended:
            self._inside.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._deadline.close()
        if self._waits:
            self._listener.handshakes.leave(self._inside.caller, self)
        if self._shaken:
            self._inside.connection_lost(exc)
        else:
            self._listener.connections.discard(self)
            self._listener.departed()

    def pause_writing(self) -> None:
        if self._shaken:
            self._inside.pause_writing()

    def resume_writing(self) -> None:
        if self._shaken:
            self._inside.resume_writing()

    def _shake(self) -> None:
        self._tls.do_handshake()
        self._shaken = True
        self._deadline.close()
        self._flush()
        # In one step, so that handshake and protocol count as one connection.
        self._listener.connections.discard(self)
        self._inside.connection_made(self)

    def _decrypt(self) -> None:
        while not self._ended:
            data = self._tls.read(_RECORD)
            if not data:  # the caller's close_notify
                self._inside.eof_received()
                self.close()
                return
            self._inside.data_received(data)

    def _fail(self, error: ssl.SSLError) -> None:
        """Ends it with the alert that says why (RFC 8446 6.2)."""
        self._ended = True
        if not self._shaken:
            self._failed(why(error), error.reason or "")
        self._flush()
        self._outside.close()

    def _give_up(self) -> None:
        if not self._shaken:
            self._outside.abort()

    def _too_late(self) -> None:
        if self._waits:
            self._deadline.set(NEXT_TURN)
            return
        self._failed("timeout")
        self._outside.abort()

    def _failed(self, reason: TlsFailureReason, detail: str = "") -> None:
        self._listener.tls_failures.add(self._peer.address, reason, detail)

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._outside.write(self._outgoing.read())

    # For the protocol inside.

    def write(self, data: Any) -> None:
        if not (self._ended or self._outside.is_closing()):
            self._tls.write(data)  # a memory BIO takes all of it
            self._flush()

    def close(self) -> None:
        if not (self._ended or self._outside.is_closing()):
            with contextlib.suppress(ssl.SSLError):  # that the caller's close_notify is not there
                self._tls.unwrap()
            self._flush()
        self._ended = True
        self._outside.close()

    def abort(self) -> None:
        self._outside.abort()

    def is_closing(self) -> bool:
        return self._ended or self._outside.is_closing()

    def pause_reading(self) -> None:
        self._outside.pause_reading()

    def resume_reading(self) -> None:
        self._outside.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._outside.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._outside.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        return False  # TLS cannot end one side alone

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The connection's own: of its peer, not of the tunnel; but it is TLS."""
        if name == "sslcontext":
            return self._context
        return cast("Any", self._outside.get_extra_info(name, default))
