"""Looks for tenants that are not listed, on first use: `[discover]` at work.

Law: one look-up per name at a time; a name that the store does not have answers exactly as one
that the caller may not use.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.errors import GatewayError, tenant_denied
from gateway.settings.schema import Vault as VaultSettings
from gateway.settings.vault_file import Discover
from gateway.vault.discovery import Absent, Discovery
from gateway.vault.fault import KeyNeeded, key_unavailable
from gateway.vault.key_ring import Slot
from gateway.vault.reader import Reader
from gateway.vault.single_flight import SingleFlight, wait_until
from gateway.vault.snapshot import new_slot
from gateway.vault.sources.source import NOT_FOUND


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
            ttl = settings.negative_ttl
            self.discovery = Discovery(discover, ttl) if discover is not None else None
        self._settings = settings

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
        if not discovery.may_look(caller, self._clock()):
            raise key_unavailable("look_ups_exhausted", 1.0)
        slot = new_slot(tenant, "key", discovery.source(tenant), settings)
        slot.discovered = True
        return self._flights.join(tenant, partial(self._look, discovery, slot, caller))

    async def aclose(self) -> None:
        """Ends the look-ups in progress."""
        await self._flights.aclose()

    async def _look(self, discovery: Discovery, slot: Slot, caller: str) -> Absent | None:
        await asyncio.wait((self._reader.read(slot),))
        if self.discovery is not discovery:
            return None  # reloaded meanwhile: what was found may be allowed no more
        if slot.key is None:
            return discovery.missed(slot.tenant, slot.failure, self._clock())
        discovery.found(caller)
        self._found(slot)
        return None

    def _refusal(self, absent: Absent) -> GatewayError:
        if absent.reason == NOT_FOUND:
            return tenant_denied("unknown_tenant")
        return key_unavailable(absent.reason, absent.until - self._clock())
