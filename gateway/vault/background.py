"""How the vault's background work is done: once at a time, when it is due, in small portions."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Hashable, Iterable
from functools import partial
from itertools import count
from math import inf
from typing import Any, Final, Generic, TypeVar

from gateway.vault.key_ring import Slot

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The coroutines in progress, each under the name of what it does."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}

    def underway(self, name: Hashable) -> asyncio.Task[T] | None:
        """The flight of that name, if one is in progress."""
        return self._tasks.get(name)

    def join(
        self, name: Hashable, begin: Callable[[], Coroutine[None, None, T]]
    ) -> asyncio.Task[T]:
        """The flight of that name, started now unless it is in progress."""
        task = self._tasks.get(name)
        if task is None or task.done():  # one that has just ended is nobody's new answer
            task = asyncio.get_running_loop().create_task(begin())
            self._tasks[name] = task
            task.add_done_callback(partial(self._ended, name))
        return task

    async def aclose(self) -> None:
        """Cancels all of them and waits until they have ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, name: Hashable, task: asyncio.Task[T]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]


async def wait_until(task: asyncio.Task[Any] | None, deadline: float) -> None:
    """Waits for a flight, if any, at most until the loop's `deadline`; never cancels it."""
    remaining = deadline - asyncio.get_running_loop().time()
    if task is not None and remaining > 0:
        await asyncio.wait((task,), timeout=remaining)


PORTION: Final = 100


class Schedule:
    """A queue for one consumer. Times are those of `clock`, monotonic seconds.

    Of several slots that are due, the one comes first whose `urgency` is least, without that the
    one that has been due for longest.
    """

    def __init__(
        self, clock: Callable[[], float], urgency: Callable[[Slot], float] | None = None
    ) -> None:
        self._clock = clock
        self._urgency = urgency
        self._later: list[tuple[float, int, Slot]] = []
        self._ripe: list[tuple[float, int, float, Slot]] = []
        self._due: dict[Slot, float] = {}
        self._order = count()
        self._wake = asyncio.Event()

    def put(self, slot: Slot, due: float) -> None:
        """Makes the slot come up at `due`, unless it is scheduled earlier already."""
        if due >= self._due.get(slot, inf):
            return
        self._due[slot] = due
        heapq.heappush(self._later, (due, next(self._order), slot))
        self._wake.set()

    def forget(self, slot: Slot, until: float) -> None:
        """It does not come up for what was due by then."""
        if self._due.get(slot, inf) <= until:
            del self._due[slot]

    async def due(self) -> None:
        """Returns once something may be due."""
        while not self._ripe:
            delay = None
            if self._later:
                delay = self._later[0][0] - self._clock()
                if delay <= 0:
                    return
            self._wake.clear()
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def take(self) -> Slot | None:
        """The most urgent of those that are due, if any is; never a retired one."""
        self._ripen()
        while self._ripe:
            _, _, due, slot = heapq.heappop(self._ripe)
            if self._due.get(slot) == due:  # else it was put earlier, and has come up
                del self._due[slot]
                if not slot.retired:
                    return slot
        return None

    async def next(self) -> Slot:
        """Waits for a slot that is due, and returns it; never a retired one."""
        while True:
            await self.due()
            slot = self.take()
            if slot is not None:
                return slot

    def _ripen(self) -> None:
        """Sorts those that have become due by urgency: a portion of them, if they are many."""
        now, left = self._clock(), PORTION
        while self._later and self._later[0][0] <= now and left:
            due, order, slot = heapq.heappop(self._later)
            if self._due.get(slot) == due:
                left -= 1
                urgency = due if self._urgency is None else self._urgency(slot)
                heapq.heappush(self._ripe, (urgency, order, due, slot))


class Backlog:
    """Calls `take` for each added slot that is still configured.

    It does so in portions: 100,000 at once would delay requests.
    """

    def __init__(self, take: Callable[[Slot], None]) -> None:
        self._take = take
        self._queue: asyncio.Queue[Iterable[Slot]] = asyncio.Queue()

    def add(self, slots: Iterable[Slot]) -> None:
        """Queues these slots, after those that were added earlier."""
        self._queue.put_nowait(slots)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            for number, slot in enumerate(await self._queue.get(), 1):
                if not slot.retired:
                    self._take(slot)
                if number % PORTION == 0:
                    await asyncio.sleep(0)
