"""Slots with the time at which each is due, the earliest first.

Law: a slot waits here only once.
"""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from math import inf

from gateway.vault.key_ring import Slot


class Schedule:
    """A queue for one consumer. Times are those of `clock`, monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Slot]] = []
        self._due: dict[Slot, float] = {}
        self._order = count()
        self._wake = asyncio.Event()

    def put(self, slot: Slot, due: float) -> None:
        """Has the slot come up at `due`, or earlier if it already was to."""
        if due >= self._due.get(slot, inf):
            return
        self._due[slot] = due
        heapq.heappush(self._heap, (due, next(self._order), slot))
        self._wake.set()

    async def next(self) -> Slot:
        """The slot that is due first, once it is; never one that is retired."""
        while True:
            now = self._clock()
            while self._heap and self._heap[0][0] <= now:
                due, _, slot = heapq.heappop(self._heap)
                if self._due.get(slot) == due:  # else it was put earlier, and has come up
                    del self._due[slot]
                    if not slot.retired:
                        return slot
            self._wake.clear()
            delay = self._heap[0][0] - now if self._heap else None
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                continue
