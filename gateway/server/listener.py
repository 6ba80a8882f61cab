"""What the connections of one listener share: the app, the limits, the clock of `Date`, the drain.

Rule: counts connections and requests, and reports when all are gone; parses and writes nothing.
"""

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Final, NamedTuple, Protocol

from gateway.asgi import App
from gateway.events import Emit
from gateway.flush_queue import FlushQueue
from gateway.model import DRAIN_CUT
from gateway.server.connections import OpenConnections
from gateway.server.tls_failures import TlsFailures
from gateway.turns import Turns

# The most that one read of a connection takes; by itself uvloop would take 250 KiB at once.
READ_BLOCK: Final = 64 * 1024
HANDSHAKES: Final = 2  # that go on in one turn of the loop: each costs as much as several requests
# At the end of a drain a caller that has just connected is about to send: it gets this long.
FIRST_BYTE_SECONDS = 0.5  # not Final: tests set it


class ConnectionLimits(NamedTuple):
    """Bounds of a connection. Times are seconds, sizes bytes; the names are the settings'.

    Beyond `max_connections` in all, and `max_connections_per_peer`, new connections are closed as
    soon as they are taken (0 = no limit). `min_rate` is bytes per second, 0 for none; a caller may
    fall `grace` seconds behind it.
    """

    header_timeout: float = 10.0
    body_timeout: float = 15.0
    write_timeout: float = 30.0
    min_rate: int = 0
    grace: float = 10.0  # no setting
    idle_timeout: float = 75.0
    max_header_bytes: int = 32768
    max_headers: int = 128
    max_connections: int = 0
    max_connections_per_peer: int = 0


class RequestInFlight(Protocol):
    """What connections and their listener need of requests in flight."""

    buffered: int  # bytes of its body that the app has not taken
    at_hand: bool  # all of a long reply is here, and the caller is taking it

    def cancel(self, message: str) -> None:
        """Cancels the app's task with that message."""
        ...

    def is_delivered(self) -> bool:
        """Whether all that the reply's head announced was sent, its end still untold."""
        ...


class Listener:
    """One of the ports we serve, from its first connection to the end of its drain.

    `emit` gets each request that was answered here, without the app, and each failure of the app.
    """

    def __init__(
        self,
        app: App,
        limits: ConnectionLimits,
        new_request_id: Callable[[], str],
        emit: Emit,
        name: str = "callers",
    ) -> None:
        self.app = app
        self.limits = limits
        self.new_request_id = new_request_id
        self.emit = emit
        self.loop = asyncio.get_running_loop()
        self.tls_failures = TlsFailures(name, emit, self.loop.time)
        self.state: dict[str, Any] = {}
        self.block = memoryview(bytearray(READ_BLOCK))  # into which all connections are read
        self.connections = OpenConnections(name, emit, self.loop.time)
        self.turns = Turns(self.loop)  # of heads that have come, by who sent the one before
        self.handshakes = Turns(self.loop, at_once=HANDSHAKES, most=HANDSHAKES)  # by peer
        self.running: set[RequestInFlight] = set()
        self.flushes = FlushQueue(self.running.__len__)
        self.draining = False  # every reply says Connection: close
        self.stopping = False  # idle connections are closed
        self._vacant = asyncio.Event()
        self._date = b""
        self._date_of = 0.0

    def admits(self, peer: str) -> bool:
        """Whether a connection of that peer may stay."""
        limits = self.limits
        return self.connections.admits(
            peer, limits.max_connections, limits.max_connections_per_peer
        )

    def first_byte_seconds(self) -> float:
        """How long a connection may be silent that has not sent a request yet."""
        limit = self.limits.header_timeout
        return min(FIRST_BYTE_SECONDS, limit) if self.stopping else limit

    def date(self) -> bytes:
        """The field `Date` for this second (RFC 9110 6.6.1)."""
        now = time.time()
        if not self._date_of <= now < self._date_of + 1:
            self._date_of = float(int(now))
            self._date = b"date: %b\r\n" % formatdate(now, usegmt=True).encode()
        return self._date

    def stop(self) -> None:
        """Closes idle connections now, and the others once they have their replies."""
        self.draining = self.stopping = True
        for connection in self.connections:
            connection.close_if_idle()
        self.departed()

    def retire(self) -> None:
        """Lets the connections that are open now take no further request."""
        for connection in self.connections:
            connection.retire()

    def departed(self) -> None:
        """Called when a connection or a request is gone."""
        if self.stopping and not self.connections and not self.running:
            self._vacant.set()

    async def vacated(self, seconds: float) -> bool:
        """True as soon as nothing is open or in flight; false if that takes too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._vacant.wait()
        except TimeoutError:
            return False
        return True

    def cut(self) -> None:
        """Cancels what is in flight and closes what is open."""
        for request in list(self.running):
            request.cancel(DRAIN_CUT)
        for connection in self.connections:
            connection.abort()
