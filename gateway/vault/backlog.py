"""Takes many slots up in the background: each is cheap, 100,000 at one stroke would not be.

Law: between two portions requests are served.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from gateway.vault.key_ring import Slot

PORTION: Final = 100


class Backlog:
    """`take` is called once for each slot that is added and has not left the configuration."""

    def __init__(self, take: Callable[[Slot], None]) -> None:
        self._take = take
        self._queue: asyncio.Queue[Iterable[Slot]] = asyncio.Queue()

    def add(self, slots: Iterable[Slot]) -> None:
        """Has these taken up, in order, after those that were added before."""
        self._queue.put_nowait(slots)

    async def run(self) -> None:
        """For as long as the vault lives."""
        while True:
            for number, slot in enumerate(await self._queue.get(), 1):
                if not slot.retired:
                    self._take(slot)
                if number % PORTION == 0:
                    await asyncio.sleep(0)
