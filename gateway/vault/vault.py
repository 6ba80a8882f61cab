"""With which key? What a request asks is answered from memory; reading goes on in the background.

Rule: a tenant's key, or an error; never another tenant's key, never a removed tenant's.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Final

from gateway.errors import CallerError, GatewayError, Problem, refused, tenant_denied
from gateway.events import Emit
from gateway.model import Key
from gateway.network.resolver import Resolver
from gateway.secret import Secret
from gateway.settings.key_sources import ISSUED, LOCAL, STORES, KeySource
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile
from gateway.vault.discovery import DiscoveredTenants, LookUps
from gateway.vault.key_ring import (
    NEVER,
    KeyNeeded,
    KeyRing,
    Slot,
    Unavailable,
    key_unavailable,
)
from gateway.vault.reading import RejectedKeyReread
from gateway.vault.rejections import KeyTrials, Rejections
from gateway.vault.report import TenantRow, rows, unresolved, warn_of_expiry
from gateway.vault.sharing import Sharing
from gateway.vault.snapshot import RingsInUse, Snapshot, prepare, slots_of
from gateway.vault.sources.registry import open_sources
from gateway.vault.sources.source import Connections, SourceError
from gateway.vault.upkeep import InvopopCalls, Known, Upkeep

PATIENCE: Final = 2.0  # seconds that a request waits for a read


class Vault:
    """Every tenant's keys. All methods belong to one event loop; `clock` is monotonic."""

    def __init__(
        self,
        settings: Settings,
        vault_file: VaultFile,
        environ: Mapping[str, str],
        emit: Emit,
        calls: InvopopCalls,
    ) -> None:
        self._first: tuple[VaultFile, Settings] | None = (vault_file, settings)
        self._emit = emit
        self._clock = time.monotonic
        self._rings: dict[str, KeyRing] = {}  # of listed tenants; replaced as a whole only
        self._found = DiscoveredTenants()
        self.sharing = Sharing({}, self._rings)
        known = Known(self._ring, lambda: self.sharing, self._found)
        self._upkeep = Upkeep(known, calls.check, emit, self._clock)
        self._reader = self._upkeep.reader
        self.fetch = self._reader.fetch  # any other secret, from any source
        self._connections = Connections(
            settings.vault,
            environ,
            resolver=Resolver(emit),
            upstream=settings.upstream.url,
            authorize=calls.authorize,
            fetch=self.fetch,
        )
        self._lookups = LookUps(self._reader, self._upkeep.discovered, self._clock)
        rereads = RejectedKeyReread(self._reader, self._upkeep.pins, self._clock)
        trials = KeyTrials(calls.check, self._clock)
        self.rejections = Rejections(self._ring, rereads, trials, emit, self._clock)
        self._files: frozenset[Path] = frozenset()
        self._kinds: frozenset[str] = frozenset()
        local, _ = open_sources(LOCAL, self._connections, {})
        self._reader.adopt(local, settings.vault.negative_ttl)

    # Requests

    def key(self, tenant: str) -> Key:
        """The tenant's key, at once.

        Raises `KeyNeeded` if `read` may help, `key_unavailable` if not, and `tenant_denied` for
        a tenant that does not exist.
        """
        ring = self._rings.get(tenant) or self._found.get(tenant)
        now = self._clock()
        if ring is None:
            sharing = self.sharing.find(tenant)
            if sharing is None:
                raise self._lookups.missing(tenant)
            found, ring = sharing.current(now), sharing.ring
        else:
            ring.used_at = now
            found = ring.current(now)
        if isinstance(found, Key):
            return found
        if isinstance(found, Unavailable):
            if now < ring.absent_until:
                raise tenant_denied("unknown_tenant")
            raise key_unavailable(found.reason, found.retry_after)
        raise KeyNeeded

    def require(self, tenant: str) -> None:
        """Raises `tenant_denied` for a tenant that certainly does not exist, before policy decides.

        A tenant that a store may have passes: `read` asks the store.
        """
        ring = self._ring(tenant)
        if ring is None:
            missing = self._lookups.missing(tenant)
            if isinstance(missing, CallerError):
                raise missing
        elif ring.absent_until != NEVER and self._clock() < ring.absent_until:
            raise tenant_denied("unknown_tenant")

    async def read(self, tenant: str, caller: str) -> Key:
        """The tenant's key, waited for at most 2 s: its first read, look-up or workspace check.

        Raises as `key` does, but `key_unavailable` in place of `KeyNeeded`. Look-ups of unlisted
        tenants are limited per `caller`.
        """
        deadline = self._deadline()
        ring = self._ring(tenant)
        missing: GatewayError = key_unavailable("loading", 1.0)
        if ring is None:
            missing = await self._lookups.look(tenant, caller, deadline)
        else:
            await self._upkeep.first_read(ring, deadline)
            if ring.absent_until != NEVER:
                missing = tenant_denied("unknown_tenant")
        try:
            return self.key(tenant)
        except KeyNeeded:
            raise missing from None

    # Loading and reloading

    async def load(self) -> list[Problem]:
        """The first load: what is on this machine is read, stores follow in the background.

        Called once. Returns why it must not be served: with `vault.strict` also each local key that
        cannot be read. Then nothing, or all but those keys, is in use.
        """
        assert self._first is not None  # noqa: S101 - it is called once
        snapshot, self._first = await self.prepare(*self._first), None
        if snapshot.problems:
            return list(snapshot.problems)
        self.commit(snapshot)
        settings = self._connections.settings
        return unresolved(self._slots(), settings) if settings.strict else []

    async def prepare(self, vault_file: VaultFile, settings: Settings) -> Snapshot:
        """Everything for `commit`: local keys are read; nothing new is in use yet.

        Do not commit a snapshot with `problems`. A single key that cannot be read is not a problem.
        """
        renewed = self._connections.renewed
        connections = await asyncio.to_thread(renewed, settings.vault, settings.upstream.url)
        kept = self._reader.sources if connections == self._connections else {}
        same = connections.application == self._connections.application
        in_use = RingsInUse(self._rings, self._found.copy(), inherit_issued=same)
        snapshot = await prepare(vault_file, connections, in_use, kept, settings.issuers)
        if not snapshot.problems:
            await self._reader.read_local(snapshot.rings)
        return snapshot

    def commit(self, snapshot: Snapshot) -> None:
        """Takes a snapshot into use in one step: requests see all of it or nothing.

        Unchanged slots keep what they know; a removed tenant stops working at once. What is done
        here for each tenant delays requests, so `prepare` has done nearly all of it.
        """
        settings = snapshot.connections.settings
        keeps = self._lookups.keeps(snapshot.discover, settings)
        keeps &= snapshot.connections.application == self._connections.application
        found = self._found.tenants()
        gone = found & snapshot.rings.keys() | found & snapshot.covered
        for tenant in gone if keeps else list(found):
            self._found.remove(tenant)
        self._connections = snapshot.connections
        self._rings, self.sharing = snapshot.rings, snapshot.sharing
        self._files, self._kinds = snapshot.files, snapshot.kinds
        self._reader.adopt(snapshot.sources, settings.negative_ttl)
        self._lookups.adopt(snapshot.discover, settings)
        self._upkeep.adopt(settings)
        for slot in snapshot.gone:
            slot.retired = True
        self._upkeep.take_up(snapshot.due)
        self._upkeep.take_up(slots_of(self._found.copy()))

    async def reread(self) -> None:
        """Reads changed keys on this machine under the configuration in use.

        For a reload that was refused: a broken vault file must not hold up a rotated key file.
        """
        await self._reader.read_local(self._rings)

    async def read_stores(self, tenant: str = "", *, issued: bool = False) -> None:
        """Reads every listed key of a store now, or one tenant's: for commands that show keys.

        With `issued`, also has Invopop issue those that it issues.
        """
        kinds = (*STORES, *ISSUED) if issued else STORES
        stored = (slot for slot in slots_of(self._rings) if slot.source.kind in kinds)
        if slots := [slot for slot in stored if tenant in {"", slot.tenant}]:
            await self._reader.read_since(slots, self._clock())

    async def resolve(self, source: KeySource, file: str, key: str) -> Secret:
        """Any other secret of the configuration that is needed at once.

        Raises `ConfigurationError` with a problem at `key` of `file`.
        """
        try:
            return await self.fetch(source)
        except SourceError as error:
            raise refused(file, key, error.reason, "a secret that can be read") from None

    # Background

    async def run(self) -> None:
        """Refreshes keys, checks pins and warns of expiry, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._upkeep.begin(group)
            group.create_task(warn_of_expiry(self._slots, self._emit))

    async def aclose(self) -> None:
        """Ends reads in progress and closes the stores' connections."""
        await self._lookups.aclose()
        await self.rejections.aclose()
        await self._reader.aclose()

    # Observers

    def tenants(self) -> list[TenantRow]:
        """A row for each slot in memory, without secrets."""
        return rows(self._slots())

    def rings(self) -> Iterator[KeyRing]:
        """All rings. Any thread: copied in one step, because requests go on meanwhile."""
        return chain(self._rings.values(), self._found.copy().values())

    def held(self) -> list[Key]:
        """The value of each listed slot, whether it may be used or still waits for its pin."""
        keys = (slot.candidate or slot.key for slot in slots_of(self._rings))
        return [key for key in keys if key is not None]

    def expiries(self) -> list[tuple[str, str, float]]:
        """Tenant, slot and expiry (seconds since 1970) of keys with a known expiry. Any thread."""
        known = ((slot.tenant, slot.name, slot.expires_at) for slot in self._slots())
        return [(tenant, name, at) for tenant, name, at in known if at is not None]

    def issued(self) -> list[tuple[str, str, float]]:
        """Tenant, slot and 1.0 of each key that Invopop issued. Any thread."""
        held = (slot for slot in self._slots() if slot.issued and slot.key is not None)
        return [(slot.tenant, slot.name, 1.0) for slot in held]

    def issued_from(self, tenant: str) -> KeySource | None:
        """By what Invopop would issue the tenant's key, if it is issued."""
        ring = self._ring(tenant)
        if ring is None:
            return self._lookups.issued_from(tenant)
        return ring.slots[0].source if ring.slots[0].issued else None

    def has(self, tenant: str) -> bool:
        """Whether the tenant is known here: listed, discovered, or covered by a `use`."""
        return self._ring(tenant) is not None

    def holder(self, tenant: str) -> str:
        """The tenant whose key this one has: itself, or the one that it uses."""
        ring = self._ring(tenant)
        return tenant if ring is None else ring.slots[0].tenant

    def files(self) -> frozenset[Path]:
        """The key files in use, for the watcher."""
        return self._files

    def failing(self) -> dict[str, str]:
        """The kinds of source whose last read failed, and why."""
        return {kind: outcome for kind, outcome in self._reader.outcomes.items() if outcome}

    def tried(self) -> bool:
        """Whether every kind of source that a listed tenant names has been read from once."""
        return self._kinds <= self._reader.outcomes.keys()

    # Within

    def _ring(self, tenant: str) -> KeyRing | None:
        ring = self._rings.get(tenant) or self._found.get(tenant)
        sharing = self.sharing.find(tenant) if ring is None else None
        return ring if sharing is None else sharing.ring

    def _slots(self) -> Iterator[Slot]:
        return (slot for ring in self.rings() for slot in ring.slots)

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + PATIENCE
