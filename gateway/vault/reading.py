"""Reads slots from their sources: on demand, ahead of need, and again after a rejection.

Nothing that a source does (fail, hang, answer garbage) leaves this module as an exception, and no
event carries more of a key than its fingerprint and where it comes from.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from typing import Final, NamedTuple

from gateway.events import Emit, KeyRefreshed, Outcome
from gateway.secret import Secret
from gateway.settings.key_sources import ISSUED, LOCAL, SOURCE_KINDS, KeySource
from gateway.settings.schema import VaultSettings
from gateway.vault.background import Schedule, SingleFlight
from gateway.vault.key_ring import NEVER, KeyRing, Slot, report_change
from gateway.vault.pins import Pins
from gateway.vault.renewal import new_term, next_look, step
from gateway.vault.snapshot import slots_of
from gateway.vault.sources.key_check import check_key, check_secret
from gateway.vault.sources.source import (
    DISABLED,
    NOT_FOUND,
    UNAVAILABLE,
    KeyRead,
    Source,
    SourceError,
)

READ_TIMEOUT: Final = 10.0  # seconds; a store that takes longer counts as hanging
PER_KIND: Final = 32  # reads at once; the background loop takes at most half of them
# Issued keys are renewed all the time: at 200 ms a call, half of these renew 960 keys a second.
PER_ISSUED_KIND: Final = 384


def at_once(kind: str) -> int:
    """How many keys of that kind are read at one time; half of it is for reads not waited for."""
    return PER_ISSUED_KIND if kind in ISSUED else PER_KIND


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
        self._gates = {kind: asyncio.Semaphore(at_once(kind)) for kind in SOURCE_KINDS}
        self._flights = SingleFlight[None]()

    def adopt(self, sources: Mapping[str, Source], negative_ttl: float) -> None:
        """Reads from these sources from now on; sources no longer among them are closed."""
        old, self.sources = self.sources, sources
        self.negative_ttl = negative_ttl
        kept = set(map(id, sources.values()))
        for source in old.values():
            if id(source) not in kept:
                self._flights.join(id(source), source.aclose)
            else:
                source.reloaded()

    def read(self, slot: Slot) -> asyncio.Task[None]:
        """The read of that slot in progress, or a new one; it never raises."""
        return self._flights.join(slot, partial(self._read, slot))

    async def read_since(self, slots: Sequence[Slot], since: float) -> None:
        """Returns once each has been read by a read begun at `since` or later.

        They are read side by side.
        """
        while late := [
            task for slot in slots if (task := self._flights.underway(slot)) and slot.begun < since
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
        return (await self._lease(source)).secret

    async def ready(self, kind: str) -> None:
        """Returns once a read of that kind may succeed; for those that nobody waits for."""
        if (opened := self.sources.get(kind)) is not None:
            await opened.ready()

    async def _lease(self, source: KeySource) -> KeyRead:
        opened = self.sources.get(source.kind)
        if opened is None:
            reason = f"{source.describe()}: no such store is configured"
            raise SourceError(UNAVAILABLE, reason)
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                lease = await opened.lease(source)
        except SourceError:
            raise
        except TimeoutError:
            reason = f"{source.describe()} did not answer in time"
            raise SourceError(UNAVAILABLE, reason) from None
        except Exception as error:  # noqa: BLE001 - a source's bug must harm its own keys only
            # Messages of others' code may quote the reply, and so the key: the type's name must do.
            reason = f"{source.describe()}: {type(error).__name__}"
            raise SourceError(UNAVAILABLE, reason) from None
        check_secret(lease.secret)
        return lease

    async def aclose(self) -> None:
        """Ends the reads in progress, then closes the sources."""
        await self._flights.aclose()
        for source in self.sources.values():
            await source.aclose()

    async def _read(self, slot: Slot) -> None:
        kind = slot.source.kind
        async with self._gates[kind]:
            started = slot.begun = self._clock()
            before, wall = slot.key, time.time()
            try:
                lease = await self._lease(slot.source)
                check_key(lease.secret)
                if lease.expires_at is None:
                    slot.loaded(lease.secret, started)
                else:
                    slot.leased(lease, started, new_term(lease.expires_at, started, wall))
            except SourceError as error:
                self._failed(slot, error)
            else:
                self.outcomes[kind] = ""
                self._emit(KeyRefreshed(slot.tenant, kind, "success"))
                report_change(slot, before, self._emit)
        self._ended(slot)

    def _failed(self, slot: Slot, error: SourceError) -> None:
        kind = slot.source.kind
        if slot.issued and error.outcome in {NOT_FOUND, DISABLED}:
            slot.lapsed()  # Invopop has withdrawn it
        wait = min(self.negative_ttl, error.retry_after)
        slot.failed(error.outcome, self._clock() + wait, error.reason)
        # The store did answer: that it does not have the name is the caller's error, not a failure.
        answered = slot.discovered and error.outcome == NOT_FOUND
        if error.reported:
            return
        self.outcomes[kind] = "" if answered else error.outcome
        outcome: Outcome = "success" if answered else "failure"
        self._emit(KeyRefreshed(slot.tenant, kind, outcome, f"{slot.name}: {error}"))

    def _changed(self, rings: Mapping[str, KeyRing]) -> list[Slot]:
        changed = []
        for slot in slots_of(rings):
            if slot.source.kind not in LOCAL:
                continue
            mark = self.sources[slot.source.kind].mark(slot.source)
            if slot.failure or mark is None or mark != slot.mark:
                # Taken before the read: a change in between is read twice, never missed.
                slot.mark = mark
                changed.append(slot)
        return changed


REFRESHED: Final = tuple(name for name, kind in SOURCE_KINDS.items() if not kind.constant)


class Uses(NamedTuple):
    """When a slot's tenant last asked for its key, and what to do once its issued key has ended
    that nobody uses."""

    used_at: Callable[[Slot], float]
    let_go: Callable[[Slot], None]


class Refresher:
    """When each slot is read next."""

    def __init__(self, reader: Reader, uses: Uses, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._uses = uses
        self._clock = clock
        self._schedules = {kind: Schedule(clock, _ends) for kind in REFRESHED}
        self._permits = {kind: asyncio.Semaphore(at_once(kind) // 2) for kind in REFRESHED}

    def at(self, slot: Slot, due: float) -> None:
        """Reads the slot then, or as soon as possible if that is past."""
        if schedule := self._schedules.get(slot.source.kind):
            schedule.put(slot, due)

    def later(self, slot: Slot, settings: VaultSettings) -> None:
        """Reads the slot within `refresh` seconds; sooner if its last read failed.

        Jittered, so that keys that were loaded together are not read again all at once.
        """
        schedule = self._schedules.get(slot.source.kind)
        if schedule is None:
            return
        schedule.forget(slot, slot.begun)
        if slot.issued:
            schedule.put(slot, next_look(slot, settings, self._clock()))
            return
        wait = settings.refresh
        if slot.failure:
            wait = max(1.0, min(wait, settings.negative_ttl))
        schedule.put(slot, self._clock() + wait * random.uniform(0.75, 0.95))  # noqa: S311

    async def run(self) -> None:
        """Serves all schedules, for as long as the vault lives."""
        async with asyncio.TaskGroup() as group:
            for kind in self._schedules:
                group.create_task(self._serve(kind))

    async def _serve(self, kind: str) -> None:
        """Begins reads of that kind, as many as may, those of keys that end soonest first."""
        schedule, permits = self._schedules[kind], self._permits[kind]
        while True:
            await schedule.due()
            await permits.acquire()
            await self._reader.ready(kind)
            read = None
            # Which is the most urgent is asked only once it may be read: others may have become so.
            slot = schedule.take()
            if slot is not None and (not slot.issued or self._due(slot)):
                read = self._reader.read(slot)
                read.add_done_callback(partial(_release, permits))
            if read is None:
                permits.release()

    def _due(self, slot: Slot) -> bool:
        """Whether an issued key is to be renewed now."""
        action, at = step(slot, self._uses.used_at(slot), self._clock())
        if action == "let_go":
            self._uses.let_go(slot)
        elif action == "wait":
            self._schedules[slot.source.kind].put(slot, at)
        return action == "read"


def _ends(slot: Slot) -> float:
    """When its key ends or becomes too old; one without a key is read when a request needs it."""
    return slot.good_until if slot.key is not None else inf


def _release(permits: asyncio.Semaphore, _: object) -> None:
    permits.release()


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
            # Each read of an issued key brings another, whatever the 401 was about.
            fruitless = before == [slot.key for slot in ring.slots] or ring.slots[0].issued
            ring.reread_at = self._clock() + COOL_DOWN if fruitless else NEVER
