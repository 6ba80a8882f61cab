"""Tenants that share the key of another (`use`): whose, and what is kept of those in use.

Rule: decides; does no I/O. What a shared key may do is decided by its own ring; a name that was
never used costs nothing, and of those that were only the latest `MAX_SHARED` are kept.
"""

import re
from collections.abc import Mapping
from fnmatch import translate
from itertools import islice
from typing import Final

from gateway.model import Key
from gateway.settings.vault_file import SharingEntry
from gateway.vault.key_ring import NEVER, KeyRing, NeedsRead, Slot, Unavailable

MAX_SHARED: Final = 10_000
_OTHER: Final = "other"  # what metrics call the tenants past their limit: no tenant's name


class SharingTenant:
    """One tenant in use that has the `ring` of another. `used_at` is when it last asked for a key.

    Its keys are those of the ring, under its own name.
    """

    __slots__ = ("_key", "ring", "tenant", "used_at")

    def __init__(self, tenant: str, ring: KeyRing) -> None:
        self.tenant = tenant
        self.ring = ring
        self.used_at = NEVER
        self._key: Key | None = None

    @property
    def slots(self) -> tuple[Slot, ...]:
        """The ring's."""
        return self.ring.slots

    def current(self, now: float) -> Key | NeedsRead | Unavailable:
        """The key to send now, as the ring says."""
        self.used_at = self.ring.used_at = now
        found = self.ring.current(now)
        if not isinstance(found, Key):
            return found
        key = self._key
        if key is None or key.secret is not found.secret or key.slot != found.slot:
            key = self._key = renamed(found, self.tenant)
        return key


def renamed(key: Key, tenant: str) -> Key:
    """The key of one tenant as that of another which shares it."""
    return Key(tenant, key.slot, key.secret)


class Sharing:
    """The tenants with `use` of one version of the vault file, and the rings of those they use."""

    def __init__(self, entries: Mapping[str, SharingEntry], rings: Mapping[str, KeyRing]) -> None:
        self.entries = entries
        self._rings = rings
        globs = [name for name in entries if "*" in name]
        globs.sort(key=len, reverse=True)  # stable: of equal lengths the first in the file
        self._globs = tuple((re.compile(translate(glob)), entries[glob].use) for glob in globs)
        self._in_use: dict[str, SharingTenant] = {}

    def find(self, tenant: str) -> SharingTenant | None:
        """The tenant of that name, which is a valid one, if an entry covers it."""
        found = self._in_use.get(tenant)
        return found if found is not None else self._first_use(tenant)

    def covers(self, tenant: str) -> bool:
        """Whether an entry covers that name, listed or not."""
        return self._used_by(tenant) is not None

    def in_use(self) -> list[SharingTenant]:
        """Those that asked for a key lately; copied in one step, so any thread may ask."""
        return list(self._in_use.values())

    def _first_use(self, tenant: str) -> SharingTenant | None:
        used = self._used_by(tenant)
        if used is None:
            return None
        if len(self._in_use) >= MAX_SHARED:
            self._in_use = dict(islice(self._in_use.items(), MAX_SHARED // 2, None))
        found = self._in_use[tenant] = SharingTenant(tenant, self._rings[used])
        return found

    def _used_by(self, tenant: str) -> str | None:
        if tenant in self._rings or tenant == _OTHER:
            return None
        entry = self.entries.get(tenant)
        if entry is not None:
            return entry.use
        return next((used for glob, used in self._globs if glob.match(tenant)), None)
