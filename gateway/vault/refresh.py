"""Reads keys ahead of need, in the background, so that requests never wait for a refresh.

Law: each kind of source has its own loop, so that a store that hangs delays no other.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from gateway.settings.schema import Vault as VaultSettings
from gateway.vault.key_ring import Slot
from gateway.vault.reader import PER_KIND, Reader
from gateway.vault.schedule import Schedule
from gateway.vault.sources.registry import SOURCES

AT_ONCE: Final = PER_KIND // 2  # the other half is for reads that requests wait for
REFRESHED: Final = frozenset(SOURCES) - {"env", "value"}  # what can change without a reload


class Refresher:
    """When each slot is read next."""

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._schedules = {kind: Schedule(clock) for kind in REFRESHED}
        self._permits = {kind: asyncio.Semaphore(AT_ONCE) for kind in REFRESHED}

    def now(self, slot: Slot) -> None:
        """Reads the slot as soon as it can be."""
        if schedule := self._schedules.get(slot.source.kind):
            schedule.put(slot, self._clock())

    def later(self, slot: Slot, settings: VaultSettings) -> None:
        """Reads the slot before `refresh` seconds are over; sooner if its last read failed.

        Jittered, so that keys that were loaded together do not all come up together.
        """
        wait = settings.refresh
        if slot.failure:
            wait = max(1.0, min(wait, settings.negative_ttl))
        if schedule := self._schedules.get(slot.source.kind):
            schedule.put(slot, self._clock() + wait * random.uniform(0.75, 0.95))  # noqa: S311

    async def run(self) -> None:
        """Serves all schedules, for as long as the vault lives."""
        async with asyncio.TaskGroup() as group:
            for kind in self._schedules:
                group.create_task(self._serve(kind, group))

    async def _serve(self, kind: str, group: asyncio.TaskGroup) -> None:
        while True:
            slot = await self._schedules[kind].next()
            await self._permits[kind].acquire()
            group.create_task(self._refresh(kind, slot))

    async def _refresh(self, kind: str, slot: Slot) -> None:
        try:
            await asyncio.wait((self._reader.read(slot),))
        finally:
            self._permits[kind].release()
