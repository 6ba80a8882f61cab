"""The pool of one origin's connections: at most so many, shared fairly; others wait in line.

Rule: a slot is taken or given back in one step with nothing awaited in between, so that no
cancellation can lose it. Whoever waits while a connection is free has more than its share already.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.shares import Party, Shares
from gateway.upstream.connection import Connection, StaleConnectionError
from gateway.upstream.failures import Superseded, overloaded
from gateway.upstream.line import Waiter, WaitingLine
from gateway.upstream.reply_stream import ReplyStream
from gateway.upstream.request_encoder import Encoded

WAITING_PER_CONNECTION: Final = 4  # more than these would only wait until they time out
# A caller holds at most 4/5 of the connections for one tenant, and a caller or a tenant as a whole
# at most 7/8: see `Shares`.
PAIR: Final = 4
WHOLE: Final = 7
_STALE_RETRIES: Final = 2  # a new connection is never stale, one that was waited for may be


class Pool:
    """At most `limit` connections, the most recently used first."""

    def __init__(self, dial: Callable[[float], Awaitable[Connection]], limit: int) -> None:
        self._dial = dial
        self._limit = limit
        self._slots = 0  # connections, and those being dialled
        self._idle: list[Connection] = []
        self._shares = Shares(PAIR, WHOLE)  # of the connections in use, or being dialled
        self._line = WaitingLine(limit * WAITING_PER_CONNECTION)
        # What those in line were given last, until they wake: None is a slot to dial with.
        self._granted: dict[Waiter, Connection | None] = {}
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
        return len(self._line)

    async def exchange(self, request: Encoded) -> ReplyStream:
        """Sends a request, on another connection if a reused one turns out to be closed.

        Raises UpstreamError, GatewayFault("overloaded"), Superseded, or what the request's stream
        raises.
        """
        party = request.party
        if self._idle and not request.fresh and self._may_take(party):
            connection = self._idle.pop()
            self._shares.take(party)
            connection.party = party
        else:
            connection = await self._awaited(request)
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
        connection = await self._acquire(request)
        in_force = False
        try:
            in_force = request.in_force is None or request.in_force()
        finally:
            if not in_force:
                connection.close()
        if not in_force:
            raise Superseded
        return connection

    async def _acquire(self, request: Encoded) -> Connection:
        """A new connection, or one from the line if there is no slot left, or none for this party.

        Of the request's timeouts, `pool` limits the wait in line and `connect` the dialling. Raises
        GatewayFault("overloaded"), or UpstreamError from dialling.
        """
        party = request.party
        if self._may_take(party):
            if self._slots >= self._limit:
                self._idle.pop(0).close()
            self._slots += 1
            self._shares.take(party)
        else:
            granted = await self._wait(party, request.timeouts.pool)
            if granted is not None:
                return granted
        try:
            connection = await self._dial(request.timeouts.connect)
        except BaseException:
            self._free_slot(party)
            raise
        if connection.closed:  # at once: its slot is free again already
            self._shares.give(party)
        else:
            connection.party = party
        return connection

    def _may_take(self, party: Party) -> bool:
        used = self._slots - len(self._idle)
        return self._shares.may_take(party, used, self._limit - used)

    def freed(self, connection: Connection) -> None:
        """A connection's exchange is over and it can be used again."""
        self._give_back(connection)
        if self._closing or connection.aged:
            connection.close()
            return
        self._idle.append(connection)
        if self._line:
            self._serve_line()

    def closed(self, connection: Connection) -> None:
        """A connection is closed."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._give_back(connection)
        self._slots -= 1
        self._serve_line()

    def close(self) -> None:
        """Closes what is idle; the rest follows when its exchange is over."""
        self._closing = True
        for connection in tuple(self._idle):
            connection.close()

    async def _wait(self, party: Party, timeout: float) -> Connection | None:  # noqa: ASYNC109
        """Waits in line: for a connection, or, if that is None, for a slot to dial with."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        if not self._line.join(party, waiter):
            raise overloaded()
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except BaseException as error:
            self._give_up(party, waiter)
            if isinstance(error, TimeoutError):
                raise overloaded() from None
            raise
        if waiter not in self._granted:  # had to make room in line
            raise overloaded()
        return self._granted.pop(waiter)

    def _give_up(self, party: Party, waiter: Waiter) -> None:
        """A request stops waiting. What it was granted at that very moment goes to the next."""
        if waiter not in self._granted:
            self._line.leave(party, waiter)
            return
        granted = self._granted.pop(waiter)
        if granted is None:
            self._free_slot(party)
        elif not granted.closed:
            self.freed(granted)

    def _free_slot(self, party: Party) -> None:
        """A slot was not dialled with, or in vain."""
        self._shares.give(party)
        self._slots -= 1
        self._serve_line()

    def _give_back(self, connection: Connection) -> None:
        """Nobody holds the connection any more."""
        if connection.party is not None:
            self._shares.give(connection.party)
            connection.party = None

    def _serve_line(self) -> None:
        """Lets go on whoever may take what is free."""
        while self._line:
            used = self._slots - len(self._idle)
            turn = self._line.next(self._shares, used, self._limit - used)
            if turn is None:
                return
            self._shares.take(turn.party)
            granted: Connection | None = None
            if self._idle:
                granted = self._idle.pop()
                granted.party = turn.party
            else:
                self._slots += 1
            self._granted[turn.waiter] = granted
            if not turn.waiter.done():  # else it was cancelled, and gives it up as it wakes
                turn.waiter.set_result(None)
