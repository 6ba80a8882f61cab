"""The pool of one origin's connections: at most so many at once; other requests wait in order.

Rule: a slot is taken or given back in one step with nothing awaited in between, so that no
cancellation can lose it. Idle connections and waiting requests never exist at the same time.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.model import Superseded
from gateway.upstream.connection import Connection, StaleConnectionError
from gateway.upstream.failures import overloaded
from gateway.upstream.reply_stream import ReplyStream
from gateway.upstream.request_encoder import Encoded, Timeouts

WAITING_PER_CONNECTION: Final = 4  # more than these would only wait until they time out
_STALE_RETRIES: Final = 2  # a new connection is never stale, one that was waited for may be

# A granted wait: a connection, or None for a free slot to dial with.
_Grant = Connection | None


class Pool:
    """At most `limit` connections, the most recently used first."""

    def __init__(self, dial: Callable[[float], Awaitable[Connection]], limit: int) -> None:
        self._dial = dial
        self._limit = limit
        self._slots = 0  # connections, and those being dialled
        self._idle: list[Connection] = []
        self._waiters: deque[asyncio.Future[_Grant]] = deque()
        self._closing = False

    def __repr__(self) -> str:
        return f"<Pool {self.active} active, {self.idle} idle, {self.waiting} waiting>"

    @property
    def active(self) -> int:
        """Connections in use, or being dialled."""
        return self._slots - len(self._idle)

    @property
    def idle(self) -> int:
        """Connections kept for the next request."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Requests in line for a connection."""
        return len(self._waiters)

    async def exchange(self, request: Encoded) -> ReplyStream:
        """Sends a request, on another connection if a reused one turns out to be closed.

        Raises UpstreamError, GatewayFault("overloaded"), Superseded, or what the request's stream
        raises.
        """
        connection = None if request.fresh or not self._idle else self._idle.pop()
        connection = connection or await self._awaited(request)
        for _ in range(_STALE_RETRIES):
            try:
                return await connection.exchange(request)
            except StaleConnectionError as stale:
                if stale.sent:
                    raise
            connection = await self._awaited(request)
        return await connection.exchange(request)

    async def _awaited(self, request: Encoded) -> Connection:
        """A connection for a request that may still be sent once it is there."""
        connection = await self._acquire(request.timeouts)
        in_force = False
        try:
            in_force = request.in_force is None or request.in_force()
        finally:
            if not in_force:
                connection.close()
        if not in_force:
            raise Superseded
        return connection

    async def _acquire(self, timeouts: Timeouts) -> Connection:
        """A new connection, or the next one that becomes free if there is no slot left.

        Of `timeouts`, `pool` limits the wait in line and `connect` the dialling. Raises
        GatewayFault("overloaded"), or UpstreamError from dialling.
        """
        if self._slots >= self._limit and self._idle:
            self._idle.pop(0).close()
        if self._slots >= self._limit:  # always true while any request waits
            granted = await self._wait(timeouts.pool)
            if granted is not None:
                return granted
        else:
            self._slots += 1
        try:
            return await self._dial(timeouts.connect)
        except BaseException:
            self._free_slot()
            raise

    def freed(self, connection: Connection) -> None:
        """A connection's exchange is over and it can be used again."""
        if self._closing or connection.aged:
            connection.close()
            return
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)

    def closed(self, connection: Connection) -> None:
        """A connection is closed."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._free_slot()

    def close(self) -> None:
        """Closes what is idle; the rest follows when its exchange is over."""
        self._closing = True
        for connection in tuple(self._idle):
            connection.close()

    async def _wait(self, timeout: float) -> _Grant:  # noqa: ASYNC109
        if len(self._waiters) >= self._limit * WAITING_PER_CONNECTION:
            raise overloaded()
        waiter: asyncio.Future[_Grant] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                return await waiter
        except BaseException as error:
            self._give_up(waiter)
            if isinstance(error, TimeoutError):
                raise overloaded() from None
            raise

    def _give_up(self, waiter: "asyncio.Future[_Grant]") -> None:
        """A request stops waiting. What it was granted at that very moment goes to the next."""
        if not waiter.done() or waiter.cancelled():
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            return
        granted = waiter.result()
        if granted is None:
            self._free_slot()
        elif not granted.closed:
            self.freed(granted)

    def _free_slot(self) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._slots -= 1

    def _next_waiter(self) -> "asyncio.Future[_Grant] | None":
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                return waiter
        return None
