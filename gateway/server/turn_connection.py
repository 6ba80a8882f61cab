"""A caller's connection on which heads wait for their turn, by who sent the request before.

Rule: what waits is not looked at. At most as much waits as may be buffered behind a request.
"""

import time
from typing import Any, Final

from gateway.asgi import ARRIVED, PEER, TUNNEL, Scope
from gateway.model import Tunnel
from gateway.server.connection import HIGH_WATER, LOOK_SECONDS, C, CallerConnection
from gateway.server.connections import OpenConnection
from gateway.server.listener import Listener

NEXT_TURN: Final = 1.0  # what a deadline that expires during a wait for a turn is put off by


class TurnConnection(CallerConnection[C]):
    """Between requests `cycle` is None; then `_waiting` is what came and waits for its turn."""

    def __init__(
        self, listener: Listener, handshake: OpenConnection | None, tunnel: Tunnel | None
    ) -> None:
        super().__init__(listener, handshake)
        self.tunnel = tunnel
        self.caller: str | None = None
        self.arrived = 0.0
        self._buffer = b""  # of a head that is not whole, or what is behind the request in flight
        self._waiting = b""  # what came behind that

    def scope(self) -> Scope:
        scope = self._scope.copy()
        if self.listener.state:
            scope["state"] = self.listener.state.copy()
        extensions: dict[str, Any] = {PEER: self.peer}
        scope["extensions"] = extensions
        if self.arrived:
            extensions[ARRIVED] = self.arrived
        if self.tunnel is not None:
            extensions[TUNNEL] = self.tunnel
        return scope

    def take_turn(self) -> bool:
        """Reads what waits: see `turns.Waiter`."""
        data, self._waiting = self._waiting, b""
        if self._deaf:
            return False
        self._read_head(data)
        self._read_more()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self.listener.turns.leave(self.caller, self)
        super().connection_lost(exc)

    def retire(self) -> None:
        """A head that waits for its turn has arrived: it is answered first."""
        if self._waiting:
            self._retired = True
        else:
            super().retire()

    def _head_comes(self, data: bytes) -> None:
        """Bytes of a head, or of what may be one: read now, or when it is their turn."""
        if not self._waiting:
            if self.listener.turns.begin():
                self._read_head(data)
                return
            self.arrived = time.perf_counter()
            self.listener.turns.wait(self.caller, self)
        self._waiting += data
        if len(self._buffer) + len(self._waiting) > HIGH_WATER:
            self._pause_reading()

    def _read_head(self, data: bytes) -> None:
        raise NotImplementedError

    def _read_more(self) -> None:
        """Unless much of what has come still waits."""
        held = len(self._waiting)  # the beginning of a head waits for the rest of it alone
        if self.cycle is not None:
            held = len(self._buffer) + self.cycle.buffered
        if held <= HIGH_WATER:
            self._resume_reading()
        elif not self._reading:
            self._next_look.set(LOOK_SECONDS)

    def _read_expired(self) -> None:
        if self._waiting and not self._deaf:
            self._read_deadline.set(NEXT_TURN)  # what came in time is not late by waiting here
        else:
            super()._read_expired()
