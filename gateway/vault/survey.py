"""All tenants in a few figures, and those that an operator should see first. Pure.

Law: tells no key, and of a key file no more than its name; one pass over however many there are.
"""

from collections.abc import Iterable
from heapq import nsmallest
from math import isfinite
from pathlib import PurePath
from typing import Final, NamedTuple

from gateway.settings.vault_file import KeySource
from gateway.settings.wording import masked
from gateway.vault.key_ring import NEVER, KeyRing, Slot
from gateway.vault.table import ends_soon, rows

REJECTED: Final = "rejected"
_TROUBLED, _ENDING, _WELL = range(3)


class Now(NamedTuple):
    """One moment on two clocks: `monotonic`, and `wall` (seconds since the epoch)."""

    monotonic: float
    wall: float

    def since_epoch(self, at: float) -> float | None:
        """A monotonic time as seconds since the epoch; None if it never was."""
        return self.wall - (self.monotonic - at) if isfinite(at) else None


class KeyState(NamedTuple):
    """One slot of a tenant. Times are seconds since the epoch, None if unknown or never.

    `state` is "ok", "loading", "unchecked", "rejected" (by Invopop) or the word for why it cannot
    be read; `read_at` is when the last good read began.
    """

    tenant: str
    slot: str
    source: str
    fingerprint: str
    expires_at: float | None
    pinned: bool
    state: str
    read_at: float | None
    used_at: float | None


class Survey(NamedTuple):
    """How many tenants there are, in trouble, and with a key that ends soon; `states` of some."""

    total: int
    troubled: int
    ending: int
    states: tuple[KeyState, ...]


def survey(rings: Iterable[KeyRing], now: Now, limit: int) -> Survey:
    """Details of at most `limit` tenants: in trouble first, then ending soon, then last used."""
    every = list(rings)
    ranks = [_rank(ring, now.wall) for ring in every]
    # The number keeps two rings from being compared.
    order = ((ranks[n], -one.used_at, one.slots[0].tenant, n) for n, one in enumerate(every))
    first = [every[n] for *_, n in nsmallest(limit, order)]
    states = tuple(_state(slot, ring, now) for ring in first for slot in ring.slots)
    return Survey(len(every), ranks.count(_TROUBLED), ranks.count(_ENDING), states)


def _rank(ring: KeyRing, wall: float) -> int:
    rank = _WELL
    for slot in ring.slots:
        if slot.failure or slot.rejected_at != NEVER:
            return _TROUBLED
        if slot.expires_at is not None and ends_soon(slot.expires_at, wall):
            rank = _ENDING
    return rank


def _state(slot: Slot, ring: KeyRing, now: Now) -> KeyState:
    (row,) = rows((slot,))
    rejected = row.state == "ok" and slot.rejected_at != NEVER
    return KeyState(
        tenant=row.tenant,
        slot=row.slot,
        source=_place(slot.source),
        fingerprint=row.fingerprint,
        expires_at=row.expires_at,
        pinned=row.workspace is not None,
        state=REJECTED if rejected else row.state,
        read_at=now.since_epoch(slot.read_started),
        used_at=now.since_epoch(ring.used_at),
    )


def _place(source: KeySource) -> str:
    """As `describe`, but of a file its name alone."""
    if source.file is None:
        return source.describe()
    field = f"#{source.field}" if source.field else ""
    return f"file {masked(PurePath(source.file).name)}{field}"
