"""The tenants that `[discover]` found, as many as may be held. Decides; does no I/O.

Law: of too many, one whose key was asked for long ago makes room.
"""

import random
from collections.abc import KeysView
from typing import Final

from gateway.vault.key_ring import KeyRing

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


def _used_at(ring: KeyRing) -> float:
    return ring.used_at
