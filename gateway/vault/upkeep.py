"""How tenants' keys are kept: read first, read ahead, checked, found, let go.

Rule: a request waits here for the first read of its key only; all else goes on in the background.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.events import Emit
from gateway.model import Key
from gateway.settings.key_sources import STORES
from gateway.settings.schema import VaultSettings
from gateway.vault.background import Backlog, wait_until
from gateway.vault.discovery import DiscoveredTenants
from gateway.vault.key_ring import NEVER, KeyRing, NeedsRead, Slot
from gateway.vault.pins import CheckWorkspace, Pins
from gateway.vault.reading import Reader, Refresher, Uses
from gateway.vault.sharing import Sharing
from gateway.vault.sources.source import NOT_FOUND, Authorize


class InvopopCalls(NamedTuple):
    """The gateway's own calls to Invopop: about a key, and for a key."""

    check: CheckWorkspace
    authorize: Authorize


class Known(NamedTuple):
    """The tenants in memory: `find` gives one's ring, `sharing` are those that have the key of
    another, and `found` those that were discovered."""

    find: Callable[[str], KeyRing | None]
    sharing: Callable[[], Sharing]
    found: DiscoveredTenants


class Upkeep:
    """Keeps rings up to date."""

    def __init__(
        self, known: Known, check: CheckWorkspace, emit: Emit, clock: Callable[[], float]
    ) -> None:
        self._find, self._sharing, self._found = known
        self._clock = clock
        self._settings = VaultSettings()
        self._committed = NEVER
        self.reader = Reader(emit, self._read_ended, clock)
        self.pins = Pins(check, emit, clock)
        self._refresher = Refresher(self.reader, Uses(self._used_at, self._let_go), clock)
        self._backlog = Backlog(self._take_up_committed)

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Begins what goes on until it is cancelled."""
        for loop in (self._refresher.run, self.pins.run, self._backlog.run):
            group.create_task(loop())

    def adopt(self, settings: VaultSettings) -> None:
        """Goes by these settings from now on."""
        self._settings = settings

    def take_up(self, slots: Iterable[Slot]) -> None:
        """Has these slots of a committed configuration read as soon as that is due."""
        self._committed = self._clock()
        self._backlog.add(slots)

    def discovered(self, slot: Slot) -> None:
        """Holds a tenant that was looked up, unless it is known by now."""
        if self._find(slot.tenant) is None:
            ring = KeyRing((slot,), used_at=self._clock())
            self._found.add(ring, self._settings.max_discovered)
            self._refresher.later(slot, self._settings)

    async def first_read(self, ring: KeyRing, deadline: float) -> None:
        """Returns once the ring has a key, or can have none by the loop's `deadline`."""
        found = ring.current(self._clock())
        if not isinstance(found, NeedsRead):
            return
        for slot in found.slots:
            if slot.candidate is None:
                await wait_until(self.reader.read(slot), deadline)
            if slot.candidate is not None:
                await self.pins.urge(slot, deadline)
            if isinstance(ring.current(self._clock()), Key):
                return

    def _take_up(self, slot: Slot) -> None:
        if slot.candidate is not None:
            self.pins.want(slot)
        self._refresher.later(slot, self._settings)

    def _take_up_committed(self, slot: Slot) -> None:
        # An issued key is not replaced by a reload: it would be a call for each tenant.
        unread = slot.issued and (slot.term is None or bool(slot.failure))
        now = unread or slot.source.kind in STORES
        if now:
            self._refresher.at(slot, self._committed)
        else:
            self._take_up(slot)

    def _read_ended(self, slot: Slot) -> None:
        ring = self._find(slot.tenant)
        if ring is None or slot not in ring.slots:
            return  # being prepared, or removed meanwhile
        if slot.issued:
            ring.note_absence()
        # Idle: its next use finds it again. Covered: by a reload that began before it was found.
        idle = self._clock() - ring.used_at > slot.max_age
        gone = slot.failure == NOT_FOUND or idle or self._sharing().covers(slot.tenant)
        if slot.discovered and gone:
            self._found.remove(slot.tenant)
        else:
            self._take_up(slot)

    def _used_at(self, slot: Slot) -> float:
        ring = self._find(slot.tenant)
        return ring.used_at if ring is not None else NEVER

    def _let_go(self, slot: Slot) -> None:
        if slot.discovered and slot.tenant in self._found:
            self._found.remove(slot.tenant)
        else:
            slot.lapsed()
