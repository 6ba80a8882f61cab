"""Reads slots from their sources: on demand, ahead of need, and again after a rejection.

Nothing that a source does (fail, hang, answer garbage) leaves this module as an exception, and no
event carries more of a key than its fingerprint and where it comes from.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Final

from gateway.events import Emit, KeyRefreshed, Outcome
from gateway.secret import Secret
from gateway.settings.key_sources import SOURCE_KINDS, STORES, KeySource
from gateway.settings.schema import VaultSettings
from gateway.vault.background import Schedule, SingleFlight
from gateway.vault.key_ring import NEVER, KeyRing, Slot, report_change
from gateway.vault.pins import Pins
from gateway.vault.snapshot import slots_of
from gateway.vault.sources.key_check import check_key, check_secret
from gateway.vault.sources.source import NOT_FOUND, UNAVAILABLE, Source, SourceError

READ_TIMEOUT: Final = 10.0  # seconds; a store that takes longer counts as hanging
PER_KIND: Final = 32  # reads at once; the background loop takes at most half of them


class Reader:
    """The sources in use, and the reads in progress. `clock` gives monotonic seconds.

    `ended` is called with each slot whose read has ended, in success or failure; `outcomes` holds,
    per kind of source, how its last read ended: "" or why it failed.
    """

    def __init__(
        self, emit: Emit, ended: Callable[[Slot], None], clock: Callable[[], float]
    ) -> None:
        self.sources: Mapping[str, Source] = {}
        self.negative_ttl = 0.0
        self.outcomes: dict[str, str] = {}
        self._emit = emit
        self._ended = ended
        self._clock = clock
        self._gates = {kind: asyncio.Semaphore(PER_KIND) for kind in SOURCE_KINDS}
        self._flights = SingleFlight[None]()
        self._begun: dict[Slot, float] = {}

    def adopt(self, sources: Mapping[str, Source], negative_ttl: float) -> None:
        """Reads from these sources from now on; sources no longer among them are closed."""
        old, self.sources = self.sources, sources
        self.negative_ttl = negative_ttl
        for kind, source in old.items():
            if sources.get(kind) is not source:
                self._flights.join(id(source), source.aclose)

    def read(self, slot: Slot) -> asyncio.Task[None]:
        """The read of that slot in progress, or a new one; it never raises."""
        return self._flights.join(slot, partial(self._read, slot))

    async def read_since(self, slots: Sequence[Slot], since: float) -> None:
        """Returns once each has been read by a read begun at `since` or later.

        They are read side by side.
        """
        while late := [
            task
            for slot in slots
            if (task := self._flights.underway(slot)) and self._begun.get(slot, NEVER) < since
        ]:
            await asyncio.wait(late)
        await asyncio.wait([self.read(slot) for slot in slots])

    async def read_local(self, rings: Mapping[str, KeyRing]) -> None:
        """Reads keys of this machine that may have changed, with pauses for requests."""
        since = self._clock()
        changed = await asyncio.to_thread(self._changed, rings)
        for first in range(0, len(changed), PER_KIND):
            await self.read_since(changed[first : first + PER_KIND], since)

    async def fetch(self, source: KeySource) -> Secret:
        """One valid secret from its source; raises `SourceError`, whatever goes wrong."""
        place = source.describe()
        opened = self.sources.get(source.kind)
        if opened is None:
            raise SourceError(UNAVAILABLE, f"{place}: no such store is configured")
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                secret = await opened.read(source)
        except SourceError:
            raise
        except TimeoutError:
            raise SourceError(UNAVAILABLE, f"{place} did not answer in time") from None
        except Exception as error:  # noqa: BLE001 - a source's bug must harm its own keys only
            # Messages of others' code may quote the reply, and so the key: the type's name must do.
            raise SourceError(UNAVAILABLE, f"{place}: {type(error).__name__}") from None
        check_secret(secret)
        return secret

    async def aclose(self) -> None:
        """Ends the reads in progress, then closes the sources."""
        await self._flights.aclose()
        for source in self.sources.values():
            await source.aclose()

    async def _read(self, slot: Slot) -> None:
        kind = slot.source.kind
        async with self._gates[kind]:
            started = self._begun[slot] = self._clock()
            before = slot.key
            try:
                key = await self.fetch(slot.source)
                check_key(key)
                slot.loaded(key, started)
            except SourceError as error:
                self._failed(slot, error)
            else:
                self.outcomes[kind] = ""
                self._emit(KeyRefreshed(slot.tenant, kind, "success"))
                report_change(slot, before, self._emit)
            finally:
                del self._begun[slot]
        self._ended(slot)

    def _failed(self, slot: Slot, error: SourceError) -> None:
        kind = slot.source.kind
        slot.failed(error.outcome, self._clock() + self.negative_ttl, error.reason)
        # The store did answer: that it does not have the name is the caller's error, not a failure.
        answered = slot.discovered and error.outcome == NOT_FOUND
        self.outcomes[kind] = "" if answered else error.outcome
        outcome: Outcome = "success" if answered else "failure"
        self._emit(KeyRefreshed(slot.tenant, kind, outcome, f"{slot.name}: {error}"))

    def _changed(self, rings: Mapping[str, KeyRing]) -> list[Slot]:
        changed = []
        for slot in slots_of(rings):
            if slot.source.kind in STORES:
                continue
            mark = self.sources[slot.source.kind].mark(slot.source)
            if slot.failure or mark is None or mark != slot.mark:
                # Taken before the read: a change in between is read twice, never missed.
                slot.mark = mark
                changed.append(slot)
        return changed


AT_ONCE: Final = PER_KIND // 2  # the rest is for reads that requests wait for
REFRESHED: Final = tuple(name for name, kind in SOURCE_KINDS.items() if not kind.constant)


class Refresher:
    """When each slot is read next."""

    def __init__(self, reader: Reader, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._schedules = {kind: Schedule(clock) for kind in REFRESHED}
        self._permits = {kind: asyncio.Semaphore(AT_ONCE) for kind in REFRESHED}

    def now(self, slot: Slot) -> None:
        """Reads the slot as soon as possible."""
        if schedule := self._schedules.get(slot.source.kind):
            schedule.put(slot, self._clock())

    def later(self, slot: Slot, settings: VaultSettings) -> None:
        """Reads the slot within `refresh` seconds; sooner if its last read failed.

        Jittered, so that keys that were loaded together are not read again all at once.
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


LONGEST: Final = 2.0  # seconds: what a request may wait
COOL_DOWN: Final = 2.0  # seconds after a fruitless re-read


class RejectedKeyReread:
    """The re-reads in progress."""

    def __init__(self, reader: Reader, pins: Pins, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._pins = pins
        self._clock = clock
        self._flights = SingleFlight[None]()

    def begin(self, ring: KeyRing) -> asyncio.Task[None] | None:
        """The ring's re-read, begun now unless it is in progress; None while it cools down."""
        if self._clock() < ring.reread_at:
            return self._flights.underway(ring)
        return self._flights.join(ring, partial(self._read_again, ring))

    async def aclose(self) -> None:
        """Ends the re-reads in progress."""
        await self._flights.aclose()

    async def _read_again(self, ring: KeyRing) -> None:
        before = [slot.key for slot in ring.slots]
        since, ring.reread_at = self._clock(), inf
        try:
            async with asyncio.timeout(LONGEST):
                await self._reader.read_since(ring.slots, since)
                for slot in ring.slots:
                    if slot.candidate is not None:
                        await self._pins.urge(slot, None)
        except TimeoutError:
            pass  # what was read in time counts; the reads themselves go on
        finally:
            fruitless = before == [slot.key for slot in ring.slots]
            ring.reread_at = self._clock() + COOL_DOWN if fruitless else NEVER
