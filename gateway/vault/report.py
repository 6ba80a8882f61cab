"""What the vault reports about its keys: rows, a survey of all tenants, expiry warnings.

Of a key only the fingerprint is shown, and of a key file, in the survey, only its name.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from heapq import nsmallest
from math import isfinite
from pathlib import PurePath
from typing import Final, Literal, NamedTuple

from gateway.errors import Problem
from gateway.events import Emit, Noticed
from gateway.model import SlotName
from gateway.pin import Pin
from gateway.settings.key_sources import LOCAL, KeySource
from gateway.settings.schema import VaultSettings
from gateway.settings.wording import key_path, masked, masked_name
from gateway.vault.equal_keys import equal_keys
from gateway.vault.key_ring import NEVER, KeyRing, Slot, SlotFailure, expiry
from gateway.vault.sharing import Sharing, SharingTenant

DAY: Final = 86_400.0
WARN_BEFORE: Final = 14 * DAY
REJECTED: Final = "rejected"
_TROUBLED, _ENDING, _WELL = range(3)

SlotState = Literal["ok", "loading", "unchecked", "on_demand"] | SlotFailure
"""What can be said of a slot's source; "unchecked": its pin waits for Invopop; "on_demand": its key
is issued when it is used next."""


class TenantRow(NamedTuple):
    """One slot of one tenant. `expires_at` is seconds since the epoch, None if unknown.

    A key may be in use in any `state` but "loading" and "on_demand". `detail` says more, for
    operators. An `issued` key is always near its end.
    """

    tenant: str
    slot: SlotName
    source: str
    fingerprint: str
    expires_at: float | None
    workspace: str | None
    state: SlotState
    detail: str
    issued: bool = False
    sandbox: bool | None = None
    country: str | None = None

    @property
    def pin(self) -> Pin:
        """What the key's workspace must be."""
        return Pin(self.workspace, self.sandbox, self.country)


def rows(slots: Iterable[Slot]) -> list[TenantRow]:
    """All slots, by tenant, `key` before `previous`."""
    return sorted(map(_row, slots))


def unresolved(slots: Iterable[Slot], settings: VaultSettings) -> list[Problem]:
    """A problem for each slot of this machine whose key could not be read."""
    return [
        Problem(
            str(settings.file),
            key_path(("tenants", slot.tenant, slot.name)),
            slot.detail,
            "a key that can be read and sent",
        )
        for slot in slots
        if slot.source.kind in LOCAL and slot.failure
    ]


def ends_soon(expires_at: float | None, now: float) -> bool:
    """Whether a key whose expiry is known has less than 14 days left, or has expired."""
    return expires_at is not None and expires_at - now < WARN_BEFORE


def _ends_soon(slot: Slot, now: float) -> bool:
    return not slot.issued and ends_soon(slot.expires_at, now)


def _row(slot: Slot) -> TenantRow:
    key, pin = slot.key or slot.candidate, slot.pin or Pin()
    without: SlotState = "on_demand" if slot.issued else "loading"
    state = slot.failure or ("unchecked" if slot.candidate else "ok" if slot.key else without)
    waiting = slot.candidate if slot.key is None else None
    expires_at = slot.expires_at if waiting is None else expiry(waiting.secret)
    return TenantRow(
        slot.tenant,
        slot.name,
        slot.source.describe(),
        key.fingerprint if key is not None else "",
        expires_at,
        pin.workspace,
        state,
        slot.detail,
        slot.issued,
        pin.sandbox,
        pin.country,
    )


class Now(NamedTuple):
    """One moment on two clocks: `monotonic`, and `wall` (seconds since the epoch)."""

    monotonic: float
    wall: float

    def since_epoch(self, at: float) -> float | None:
        """A monotonic time as seconds since the epoch; None if it never was."""
        return self.wall - (self.monotonic - at) if isfinite(at) else None


class KeyState(NamedTuple):
    """One slot of a tenant. Times are seconds since the epoch, None if unknown or never.

    It is "rejected" if Invopop refused its key; `read_at` is when the last good read began.
    """

    tenant: str
    slot: SlotName
    source: str
    fingerprint: str
    expires_at: float | None
    pinned: bool
    state: SlotState | Literal["rejected"]
    read_at: float | None
    used_at: float | None


class Survey(NamedTuple):
    """How many tenants there are, failing, and with a key that expires soon; `states` of some.

    A tenant that shares a key counts in `total` if it is listed; the key counts once.
    """

    total: int
    troubled: int
    ending: int
    states: tuple[KeyState, ...]
    warnings: tuple[str, ...] = ()


def survey(rings: Iterable[KeyRing], sharing: Sharing, now: Now, limit: int) -> Survey:
    """Details of at most `limit` tenants: failing first, then expiring soon, then last used.

    Of those that share a key the ones used lately are among the last, without its state twice.
    """
    own = list(rings)
    every: list[KeyRing | SharingTenant] = [*own, *sharing.in_use()]
    ranks = [_rank(ring, now.wall) for ring in own] + [_WELL] * (len(every) - len(own))
    # The number keeps two rings from being compared.
    order = ((ranks[n], -one.used_at, _name(one), n) for n, one in enumerate(every))
    states: list[KeyState] = []
    for *_, n in nsmallest(limit, order):
        one = every[n]
        if isinstance(one, SharingTenant):
            states.append(_shared(one, now))
        else:
            states += (_state(slot, one, now) for slot in one.slots)
    total = len(own) + len(sharing.entries)
    return Survey(
        total,
        ranks.count(_TROUBLED),
        ranks.count(_ENDING),
        tuple(states),
        tuple(equal_keys(own)),
    )


def _name(one: KeyRing | SharingTenant) -> str:
    return one.tenant if isinstance(one, SharingTenant) else one.slots[0].tenant


def _rank(ring: KeyRing, wall: float) -> int:
    rank = _WELL
    for slot in ring.slots:
        if slot.failure or slot.rejected_at != NEVER:
            return _TROUBLED
        if _ends_soon(slot, wall):
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
        pinned=slot.pin is not None,
        state=REJECTED if rejected else row.state,
        read_at=now.since_epoch(slot.read_started),
        used_at=now.since_epoch(ring.used_at),
    )


def _shared(one: SharingTenant, now: Now) -> KeyState:
    used = one.slots[0]
    state = _state(used, one.ring, now)
    return state._replace(
        tenant=one.tenant, source=f"use {used.tenant}", used_at=now.since_epoch(one.used_at)
    )


def _place(source: KeySource) -> str:
    """As `describe`, but a file's name without its directory."""
    if source.file is None:
        return source.describe()
    field = f"#{source.field}" if source.field else ""
    return f"file {masked(PurePath(source.file).name)}{masked(field)}"


SCAN: Final = 3600.0  # seconds


async def warn_of_expiry(slots: Callable[[], Iterable[Slot]], emit: Emit) -> None:
    """Checks all slots each hour, until cancelled."""
    warned: dict[Slot, float] = {}
    while True:
        # In a thread: of very many tenants this takes longer than a request should wait.
        for warning in await asyncio.to_thread(expiry_warnings, slots(), warned):
            emit(warning)
        await asyncio.sleep(SCAN)


def expiry_warnings(slots: Iterable[Slot], warned: dict[Slot, float]) -> list[Noticed]:
    """A warning for each key that expires within 14 days, at most once a day for each.

    `warned` remembers when each slot was warned of; slots no longer near their end are removed.
    """
    now = time.time()
    due = {slot: slot.expires_at for slot in slots if _ends_soon(slot, now)}
    for gone in warned.keys() - due.keys():
        del warned[gone]
    warnings = []
    for slot, expires_at in due.items():
        if slot.key is None or now - warned.get(slot, 0.0) < DAY:
            continue
        warned[slot] = now
        fields = {
            "tenant": masked_name(slot.tenant),
            "slot": slot.name,
            "key_fingerprint": slot.key.fingerprint,
            "expires": datetime.fromtimestamp(expires_at or 0.0, UTC).isoformat(),
        }
        warnings.append(Noticed("key_expires_soon", "warning", fields))
    return warnings
