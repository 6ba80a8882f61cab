"""How many requests begin in one turn of the event loop; callers take turns when there are more.

Rule: a caller with many connections that are busy does not put all of their requests in front of
another caller's. Where fewer requests are ready than may begin, nobody waits.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final, Protocol

Account = str | None
"""A caller's name; "" for all whose credentials were refused; None for all who are still new."""

# Of those that wait, how many of busy callers begin in one turn of the loop: what others wait for
# when their own request, or its reply, comes next.
MOST: Final = 4
# Where nobody waits, how many begin at once until the loop's clock moves on, in milliseconds; of
# callers that were quiet so many begin in one turn.
AT_ONCE: Final = 8
# How many requests of a caller that was quiet go in front of those of busy callers.
_CREDIT: Final = 32


class Loop(Protocol):
    """What turns need of the event loop."""

    def time(self) -> float:
        """In seconds; it stands still while the loop handles what has become ready."""
        ...

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Calls it in the next turn."""
        ...

    def create_future(self) -> asyncio.Future[None]:
        """For `turn_of`."""
        ...


class Waiter(Protocol):
    """A request, or what becomes one, that waits for its turn."""

    def take_turn(self) -> bool:
        """Begins; false if there is nothing left to begin, which takes nobody's turn."""
        ...


class _Line:
    __slots__ = ("account", "credit", "waiters")

    def __init__(self, account: Account) -> None:
        self.account = account
        self.credit = _CREDIT
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()


class Turns:
    """Those that wait for their turn, in a line for each account.

    Lines are served as RFC 8290 4.2 has it: those that have just formed first, each as far as its
    credit goes, then one of each of the others. So a flood waits behind those who ask now and then.
    """

    __slots__ = (
        "_at_once", "_begun", "_busy", "_due", "_fresh", "_lines", "_loop", "_most", "_now",
        "_waiting",
    )  # fmt: skip

    def __init__(self, loop: Loop, at_once: int = AT_ONCE, most: int = MOST) -> None:
        self._loop = loop
        self._at_once = at_once
        self._most = most
        self._begun = 0  # at once, at `_now`
        self._now = 0.0
        self._waiting = 0
        self._due = False  # `_next` has been scheduled
        self._lines: dict[Account, _Line] = {}
        self._fresh: deque[_Line] = deque()
        self._busy: deque[_Line] = deque()

    def begin(self) -> bool:
        """Whether a request may begin at once; if not, `wait`, or await `turn_of`."""
        if self._waiting:
            return False
        now = self._loop.time()
        if now != self._now:
            self._now = now
            self._begun = 0
        self._begun += 1
        return self._begun <= self._at_once

    def wait(self, account: Account, waiter: Waiter) -> None:
        """Lets `waiter` take its turn when it comes."""
        line = self._lines.get(account)
        if line is None:
            line = self._lines[account] = _Line(account)
            self._fresh.append(line)
        line.waiters[waiter] = None
        self._waiting += 1
        self._schedule()

    def leave(self, account: Account, waiter: Waiter) -> None:
        """One that waits under this account does so no more."""
        line = self._lines.get(account)
        if line is not None and waiter in line.waiters:
            del line.waiters[waiter]
            self._waiting -= 1

    async def turn_of(self, account: Account) -> None:
        """Returns in a turn in which one more request of this account may begin."""
        future = self._loop.create_future()
        self.wait(account, _Wake(future))
        await future

    def _schedule(self) -> None:
        if self._waiting and not self._due:
            self._due = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._due = False
        most, begun = max(self._at_once, self._most), 0
        try:
            while self._waiting and begun < most:
                line = self._next_line()
                if not self._fresh and begun >= self._most:
                    break
                line.credit -= 1
                self._waiting -= 1
                waiter, _ = line.waiters.popitem(last=False)
                if waiter.take_turn():
                    begun += 1
        finally:
            self._schedule()
        if not self._waiting:
            self._lines.clear()
            self._fresh.clear()
            self._busy.clear()

    def _next_line(self) -> _Line:
        """The one whose oldest is next; a busy one only if there is no fresh one."""
        while True:
            lines = self._fresh or self._busy
            line = lines[0]
            if line.waiters and line.credit:
                return line
            lines.popleft()
            if line.waiters:
                line.credit = 1
                self._busy.append(line)
            elif lines is self._fresh:
                self._busy.append(line)  # else whoever asks one by one would always be fresh
            else:
                del self._lines[line.account]


class _Wake:
    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[None]) -> None:
        self._future = future

    def take_turn(self) -> bool:
        if self._future.done():  # its caller has left
            return False
        self._future.set_result(None)
        return True
