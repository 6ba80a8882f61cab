"""How many requests begin in one turn of the event loop; callers take turns when there are more.

Rule: a caller with many connections that are busy does not put all of their requests in front of
another caller's. Where fewer requests are ready than may begin, nobody waits.
"""

import asyncio
from collections import deque
from typing import Final

# Requests of one turn: what others wait for when their own request, or its reply, comes next.
MOST: Final = 2


class Turns:
    """The requests that wait for their turn, by caller; each turn begins the oldest of each."""

    __slots__ = ("_begun", "_lines", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._begun = 0  # in this turn
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # the next caller comes first

    def begin(self) -> bool:
        """Whether a request may begin at once; if not, await `turn_of`."""
        if self._begun >= MOST:
            return False
        self._begun += 1
        if self._begun == 1:
            self._loop.call_soon(self._next)
        return True

    async def turn_of(self, caller: str) -> None:
        """Returns in a turn in which one more request of this caller may begin."""
        waiter = self._loop.create_future()
        self._lines.setdefault(caller, deque()).append(waiter)
        await waiter

    def _next(self) -> None:
        self._begun = 0
        lines = self._lines
        while lines and self._begun < MOST:
            caller = next(iter(lines))
            line = lines.pop(caller)
            waiter = line.popleft()
            if line:
                lines[caller] = line  # behind the other callers
            if not waiter.done():  # else its caller has left
                waiter.set_result(None)
                self._begun += 1
        if self._begun:
            self._loop.call_soon(self._next)
