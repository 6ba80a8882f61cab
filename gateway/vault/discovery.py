"""Tenants found on first use: who may look for one, and what was not found. Decides; does no I/O.

Law: a name that is not there costs its caller; what is remembered of such names is bounded.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from gateway.settings.vault_file import Discover, KeySource

MAX_ABSENT: Final = 10_000  # names remembered as not to be had
MISSES_PER_SECOND: Final = 10.0  # per caller; a name that is found costs nothing
MISSES_AT_ONCE: Final = 100.0
# Where a store lets less stand in a name than a tenant's may have, and how long a name may be; it
# answers 400 to others. Azure takes any letter case for the same secret: of all spellings only one
# is the tenant, or one key would be many tenants', past any caller's `tenants`.
NAMES: Final[Mapping[str, tuple[re.Pattern[str], int]]] = {
    "gcp": (re.compile(r"[A-Za-z0-9_-]+"), 255),
    "azure": (re.compile(r"[a-z0-9-]+"), 127),
}


class Absent(NamedTuple):
    """Why a name is not to be had, and until when (monotonic seconds) that is believed."""

    reason: str
    until: float


class Discovery:
    """One `[discover]` section at work."""

    def __init__(self, discover: Discover, negative_ttl: float) -> None:
        self.discover = discover
        self._negative_ttl = negative_ttl
        self._absent: dict[str, Absent] = {}
        self._misses: dict[str, tuple[float, float]] = {}

    def may_hold(self, tenant: str) -> bool:
        """Whether the store can have a secret of that name; other tenants do not exist."""
        template = self.discover.key
        if template.kind not in NAMES:
            return True
        lawful, longest = NAMES[template.kind]
        name = next(part for part in template.reference.split("/") if "{tenant}" in part)
        length = len(name.replace("{tenant}", tenant))
        return lawful.fullmatch(tenant) is not None and length <= longest

    def source(self, tenant: str) -> KeySource:
        """The template with the tenant's name in it. The name is already a lawful one."""
        template = self.discover.key
        named: Any = {template.kind: template.reference.replace("{tenant}", tenant)}
        return replace(template, **named)

    def absent(self, tenant: str, now: float) -> Absent | None:
        """What is remembered of a name that could not be had."""
        absent = self._absent.get(tenant)
        if absent is not None and absent.until <= now:
            del self._absent[tenant]
            return None
        return absent

    def missed(self, tenant: str, reason: str, now: float) -> Absent:
        """Remembers that a name is not to be had; the oldest such memory makes room."""
        self._absent.pop(tenant, None)
        while len(self._absent) >= MAX_ABSENT:
            del self._absent[next(iter(self._absent))]
        absent = self._absent[tenant] = Absent(reason, now + self._negative_ttl)
        return absent

    def may_look(self, caller: str, now: float) -> bool:
        """Takes one of the caller's look-ups; false if it has none left."""
        left, since = self._misses.get(caller, (MISSES_AT_ONCE, now))
        left = min(MISSES_AT_ONCE, left + (now - since) * MISSES_PER_SECOND)
        if left < 1.0:
            return False
        self._misses[caller] = (left - 1.0, now)
        return True

    def found(self, caller: str) -> None:
        """Gives the look-up back that the caller took: the name was there."""
        left, since = self._misses[caller]
        self._misses[caller] = (left + 1.0, since)
