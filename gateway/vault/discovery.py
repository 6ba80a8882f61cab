"""Tenants that are not listed, found on first use: `[discover]` at work.

One look-up per name at a time; a name that the store does not have costs its caller, is answered
exactly as one that the caller may not use, and what is remembered of such names is bounded.
"""

import asyncio
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, KeysView
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from gateway.errors import GatewayError, tenant_denied
from gateway.settings.key_sources import ISSUED, SOURCE_KINDS, KeySource
from gateway.settings.schema import VaultSettings
from gateway.settings.vault_file import Discover
from gateway.vault.background import SingleFlight, wait_until
from gateway.vault.key_ring import KeyNeeded, KeyRing, Slot, key_unavailable
from gateway.vault.reading import Reader
from gateway.vault.snapshot import new_slot
from gateway.vault.sources.source import NOT_FOUND

MAX_ABSENT: Final = 10_000  # names remembered as unavailable
MISSES_PER_SECOND: Final = 10.0  # per caller; a look-up that finds the name is not counted
MISSES_AT_ONCE: Final = 100.0
WAITING: Final = 1000  # look-ups in line, per caller, while others of its may yet be misses


class Absent(NamedTuple):
    """Why a name is unavailable, and until when (monotonic seconds) that is remembered."""

    reason: str
    until: float


class Discovery:
    """One `[discover]` section at work."""

    def __init__(self, discover: Discover) -> None:
        self.discover = discover
        self._absent: dict[str, Absent] = {}
        self._misses: dict[str, tuple[float, float]] = {}
        self._underway: Counter[str] = Counter()  # by caller
        self._waiting: defaultdict[str, deque[asyncio.Future[bool]]] = defaultdict(deque)

    def may_hold(self, tenant: str) -> bool:
        """Whether the store can have a secret of that name; other tenants do not exist."""
        template = self.discover.key
        rule = SOURCE_KINDS[template.kind].names
        if rule is None:
            return True
        name = next(part for part in template.reference.split("/") if "{tenant}" in part)
        length = len(name.replace("{tenant}", tenant))
        return rule.pattern.fullmatch(tenant) is not None and length <= rule.longest

    def source(self, tenant: str) -> KeySource:
        """The template with the tenant's name, which must be valid, in it."""
        template = self.discover.key
        return replace(template, reference=template.reference.replace("{tenant}", tenant))

    def absent(self, tenant: str, now: float) -> Absent | None:
        """Why the name is unavailable, if that is remembered."""
        absent = self._absent.get(tenant)
        if absent is not None and absent.until <= now:
            del self._absent[tenant]
            return None
        return absent

    def missed(self, tenant: str, reason: str, until: float) -> Absent:
        """Remembers until then that a name is unavailable.

        Beyond `MAX_ABSENT` the oldest is forgotten.
        """
        self._absent.pop(tenant, None)
        while len(self._absent) >= MAX_ABSENT:
            del self._absent[next(iter(self._absent))]
        absent = self._absent[tenant] = Absent(reason, until)
        return absent

    def may_look(self, caller: str, now: float) -> bool:
        """Takes one of the caller's look-ups; false if it has none left."""
        left, since = self._misses.get(caller, (MISSES_AT_ONCE, now))
        left = min(MISSES_AT_ONCE, left + (now - since) * MISSES_PER_SECOND)
        if left < 1.0:
            return False
        self._misses[caller] = (left - 1.0, now)
        self._underway[caller] += 1
        return True

    def may_wait(self, caller: str) -> bool:
        """Whether one of the caller's look-ups in progress may give back what it took."""
        return self._underway[caller] > 0 and len(self._waiting[caller]) < WAITING

    def turn(self, caller: str) -> asyncio.Future[bool]:
        """Has a result once a look-up has been taken (true), or none can be had any more."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting[caller].append(turn)
        return turn

    def ended(self, caller: str, now: float) -> None:
        """One of the caller's look-ups is over: those in line go on, as many as may."""
        self._underway[caller] -= 1
        waiting = self._waiting[caller]
        while waiting and self.may_look(caller, now):
            _let_go_on(waiting.popleft(), taken=True)
        while waiting and not self._underway[caller]:
            _let_go_on(waiting.popleft(), taken=False)

    def found(self, caller: str) -> None:
        """Gives back the look-up that the caller took: the name exists."""
        left, since = self._misses[caller]
        self._misses[caller] = (left + 1.0, since)


# So many are drawn, and the one of them that was used longest ago goes: one of the more recently
# used half goes once in 65,000 times. Exact order would cost each request more.
DRAWN: Final = 16


class DiscoveredTenants:
    """Rings by tenant, of one slot each."""

    def __init__(self) -> None:
        self._rings: dict[str, KeyRing] = {}
        self._drawn_from: list[KeyRing] = []  # the same rings, in any order
        self._places: dict[str, int] = {}  # where in it each is
        self.get = self._rings.get

    def __contains__(self, tenant: str) -> bool:
        return tenant in self._rings

    def tenants(self) -> KeysView[str]:
        """Their names, as they are while one looks."""
        return self._rings.keys()

    def copy(self) -> dict[str, KeyRing]:
        """All of now, by tenant; made in one step, so any thread may ask."""
        return self._rings.copy()

    def add(self, ring: KeyRing, most: int) -> None:
        """Holds one more, of `most` altogether."""
        while len(self._drawn_from) >= most:
            drawn = random.sample(self._drawn_from, min(DRAWN, len(self._drawn_from)))
            self.remove(min(drawn, key=_used_at).slots[0].tenant)
        tenant = ring.slots[0].tenant
        self._places[tenant] = len(self._drawn_from)
        self._drawn_from.append(ring)
        self._rings[tenant] = ring

    def remove(self, tenant: str) -> None:
        """Forgets one, whose slot is retired: if it is found again, it is with another."""
        ring, place = self._rings.pop(tenant), self._places.pop(tenant)
        ring.slots[0].retired = True
        last = self._drawn_from.pop()
        if last is not ring:
            self._drawn_from[place] = last
            self._places[last.slots[0].tenant] = place


def _let_go_on(turn: asyncio.Future[bool], *, taken: bool) -> None:
    if not turn.done():  # else cancelled: the gateway stops
        turn.set_result(taken)


def _used_at(ring: KeyRing) -> float:
    return ring.used_at


class LookUps:
    """The look-ups in progress, and what is known of names. `found` takes each new tenant."""

    def __init__(
        self, reader: Reader, found: Callable[[Slot], None], clock: Callable[[], float]
    ) -> None:
        self.discovery: Discovery | None = None
        self._reader = reader
        self._found = found
        self._clock = clock
        self._flights = SingleFlight[Absent | None]()
        self._settings: VaultSettings | None = None

    def keeps(self, discover: Discover | None, settings: VaultSettings) -> bool:
        """Whether tenants found so far may stay under this section."""
        now = self.discovery.discover if self.discovery is not None else None
        return discover == now and settings == self._settings

    def adopt(self, discover: Discover | None, settings: VaultSettings) -> None:
        """Looks by this section from now on."""
        if not self.keeps(discover, settings):
            self.discovery = Discovery(discover) if discover is not None else None
        self._settings = settings

    def issued_from(self, tenant: str) -> KeySource | None:
        """By what Invopop would issue an unlisted tenant's key, if that is how keys are found."""
        discovery = self.discovery
        if discovery is None or discovery.discover.key.kind not in ISSUED:
            return None
        return discovery.source(tenant)

    def missing(self, tenant: str) -> GatewayError | KeyNeeded:
        """What to raise for a tenant that is not in memory."""
        if self.discovery is None or not self.discovery.may_hold(tenant):
            return tenant_denied("unknown_tenant")
        absent = self.discovery.absent(tenant, self._clock())
        return KeyNeeded() if absent is None else self._refusal(absent)

    async def look(self, tenant: str, caller: str, deadline: float) -> GatewayError:
        """Waits for the look-up of that name; raises as `begin` does.

        Returns what to answer if the tenant is not in memory by then: what the look-up has shown,
        for however short a time that is remembered.
        """
        flight = self.begin(tenant, caller)
        await wait_until(flight, deadline)
        absent = flight.result() if flight.done() and not flight.cancelled() else None
        return key_unavailable("loading", 1.0) if absent is None else self._refusal(absent)

    def begin(self, tenant: str, caller: str) -> asyncio.Task[Absent | None]:
        """The look-up of that name, begun now unless it is in progress; raises if it may not be."""
        if (flight := self._flights.underway(tenant)) is not None:
            return flight
        missing = self.missing(tenant)
        discovery, settings = self.discovery, self._settings
        if discovery is None or settings is None or not isinstance(missing, KeyNeeded):
            raise missing
        taken = discovery.may_look(caller, self._clock())
        if not taken and not discovery.may_wait(caller):
            raise self._refusal(self._exhausted())
        slot = new_slot(tenant, "key", discovery.source(tenant), settings)
        slot.discovered = True
        turn = None if taken else discovery.turn(caller)
        return self._flights.join(tenant, partial(self._look, discovery, slot, caller, turn))

    async def aclose(self) -> None:
        """Ends the look-ups in progress."""
        await self._flights.aclose()

    async def _look(
        self, discovery: Discovery, slot: Slot, caller: str, turn: asyncio.Future[bool] | None
    ) -> Absent | None:
        if turn is not None and not await turn:
            return self._exhausted()
        await asyncio.wait((self._reader.read(slot),))
        try:
            return self._looked(discovery, slot, caller)
        finally:
            discovery.ended(caller, self._clock())

    def _looked(self, discovery: Discovery, slot: Slot, caller: str) -> Absent | None:
        if slot.key is not None:
            discovery.found(caller)
        if self.discovery is not discovery:
            return None  # reloaded meanwhile: what was found may be allowed no more
        if slot.key is None:
            return discovery.missed(slot.tenant, slot.failure, slot.retry_at)
        self._found(slot)
        return None

    def _exhausted(self) -> Absent:
        return Absent("look_ups_exhausted", self._clock() + 1.0)

    def _refusal(self, absent: Absent) -> GatewayError:
        if absent.reason == NOT_FOUND:
            return tenant_denied("unknown_tenant")
        return key_unavailable(absent.reason, absent.until - self._clock())
