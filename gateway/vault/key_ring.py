"""A tenant's keys, and which of them to use now. Decides; does no I/O; time comes in as `now`.

Rule: a ring gives out its own tenant's keys only, each exactly as last read from its source,
and with a pin only once Invopop has confirmed all of it for that very value.
"""

import math
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Literal, NamedTuple

import jwt

from gateway.errors import GatewayFault
from gateway.events import Emit, KeyChanged
from gateway.model import Key, SlotName
from gateway.pin import Pin, PinMismatch
from gateway.secret import Secret
from gateway.settings.key_sources import ISSUED, KeySource
from gateway.settings.randomness import looks_random
from gateway.vault.sources.source import NOT_FOUND, KeyRead, ReadFailure


class KeyNeeded(Exception):
    """The key is not in memory, but can perhaps be read: `await vault.read(tenant, caller)`."""


def key_unavailable(cause: str, retry_after: float) -> GatewayFault:
    """503 with `Retry-After`, at least one second. `cause` is a constant word for the log."""
    seconds = max(1, math.ceil(retry_after)) if math.isfinite(retry_after) else 1
    return GatewayFault(
        "key_unavailable",
        "The tenant's key is unavailable now; try again after Retry-After.",
        headers=[(b"retry-after", b"%d" % seconds)],
        cause=cause,
    )


LATEST: Final = 253_402_300_799  # the end of the year 9999: beyond it there are no dates
# A few words such as `silo:read`, and nothing long enough to be a secret.
_SCOPE: Final = re.compile(r"[A-Za-z][A-Za-z0-9:._ -]{0,63}")


def expiry(secret: Secret) -> float | None:
    """The key's `exp` in seconds since the epoch; None if it is not a JWT, or never expires.

    Invopop's keys that never expire have an `exp` of 0.
    """
    found = _claims(secret).get("exp")
    if not isinstance(found, int | float) or isinstance(found, bool):
        return None
    return float(found) if 0 < found <= LATEST else None


def scope(secret: Secret) -> str:
    """The key's `scope` (RFC 8693 4.2), or "" if it is not a JWT, has none, or an odd one."""
    found = _claims(secret).get("scope")
    if isinstance(found, list):
        found = " ".join(map(str, found))
    odd = not isinstance(found, str) or not _SCOPE.fullmatch(found) or looks_random(found)
    return "" if odd else str(found)


def _claims(secret: Secret) -> dict[str, Any]:
    """What a JWT says of itself, not verified; nothing for any other key."""
    value = secret.reveal()
    if value.count(".") != 2:
        return {}
    try:
        claims: dict[str, Any] = jwt.decode(value, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return {}
    return claims


NEVER: Final = -inf
MISMATCHES: Final[Mapping[PinMismatch, str]] = {
    "pin_mismatch": "the key belongs to another workspace than the pinned one",
    "pin_mismatch_sandbox": "the key's workspace is not what `sandbox` pins",
    "pin_mismatch_country": "the key's workspace is not based in the pinned country",
}


class KeyLife(NamedTuple):
    """The life of a key that Invopop issued: it ends, and is due for renewal before.

    `ends` and `renew_at` are monotonic seconds, `life` seconds, `expires_at` seconds since the
    epoch.
    """

    ends: float
    renew_at: float
    life: float
    expires_at: float


SlotFailure = ReadFailure | PinMismatch | Literal["pin_unchecked"]
"""Why a slot gave no new key: its source, or its pin."""


class NeedsRead(NamedTuple):
    """No key can be used yet, but these slots have not been asked, or may be asked again."""

    slots: "tuple[Slot, ...]"


class Unavailable(NamedTuple):
    """No key can be used, and asking again is pointless for `retry_after` seconds."""

    reason: SlotFailure | Literal[""]
    retry_after: float


@dataclass(slots=True, eq=False)
class Slot:
    """One configured key of a tenant, and what is known of its value. Times are monotonic seconds.

    `max_age` bounds how long a key outlives the last read that gave it. `candidate` is a value
    that was read but whose pin is not checked yet. `begun` is when its last read began.
    `expires_at` is a hint, in seconds since the epoch; `opens` is the workspace that Invopop named
    for it, if it was asked; `mark` is how its source looked before the last reload's read. The
    tenant of a `discovered` slot is not listed; a `retired` one left the configuration. `term` is
    there if the newest value, candidate or key, was issued.
    """

    tenant: str
    name: SlotName
    source: KeySource
    pin: Pin | None = None
    max_age: float = inf
    key: Key | None = None
    good_until: float = NEVER
    candidate: Key | None = None
    begun: float = NEVER
    read_started: float = NEVER
    failure: SlotFailure | Literal[""] = ""
    detail: str = ""
    retry_at: float = NEVER
    rejected_at: float = NEVER
    opens: str = ""
    expires_at: float | None = None
    mark: Hashable = None
    discovered: bool = False
    retired: bool = False
    term: KeyLife | None = None

    @property
    def issued(self) -> bool:
        """Whether its keys are issued, and so live short and change often."""
        return self.source.kind in ISSUED

    def leased(self, lease: KeyRead, started: float, term: KeyLife) -> None:
        """As `loaded`, of an issued key. Of which workspace it is, Invopop has said with it."""
        if started < self.read_started:
            return
        self.term = term
        self.loaded(lease.secret, started)
        if self.candidate is not None and self.pin is not None:
            workspace = self.pin.workspace or ""
            said = workspace.lower() == lease.workspace.lower()
            if said and self.pin == Pin(workspace):  # of anything else it said nothing
                self.confirmed(self.candidate)

    def lapsed(self) -> None:
        """Its issued key has ended, or may not be used any longer: the next use gets another."""
        self.key = self.candidate = self.expires_at = self.term = None
        self.good_until = NEVER

    def loaded(self, secret: Secret, started: float) -> None:
        """A read begun at `started` gave this value; ignored if a later read has ended already."""
        if started < self.read_started:
            return
        self.read_started = started
        if self.key is not None and self.key.secret == secret:
            self._use(self.key)
        elif self.pin is None:
            self._use(self._key(secret))
        elif self.candidate is None or self.candidate.secret != secret:
            self.candidate = self._key(secret)

    def failed(self, failure: SlotFailure, retry_at: float, detail: str = "") -> None:
        """A read or a pin check failed: the last good key is used until it is too old.

        Before `retry_at` no request asks again. `detail` is for operators.
        """
        self.failure = failure
        self.detail = detail
        self.retry_at = retry_at

    def confirmed(self, candidate: Key) -> None:
        """Invopop confirmed the pin for this value: it is used from now on."""
        if self.candidate is candidate:
            self._use(candidate)

    def refuted(self, candidate: Key, mismatch: PinMismatch, retry_at: float) -> None:
        """Invopop says that its workspace is not as pinned: this value is never used."""
        if self.candidate is candidate:
            self.candidate = None
            self.failed(mismatch, retry_at, MISMATCHES[mismatch])

    def _key(self, secret: Secret) -> Key:
        return Key(self.tenant, self.name, secret)

    def _use(self, key: Key) -> None:
        if key is not self.key:
            self.rejected_at = NEVER
            self.expires_at = expiry(key.secret) if self.term is None else None
        self.key = key
        # Not a number of its own for each key that has no end.
        self.good_until = inf if self.max_age == inf else self.read_started + self.max_age
        if self.term is not None:
            self.good_until, self.expires_at = self.term.ends, self.term.expires_at
        self.candidate = None
        self.failure = self.detail = ""
        self.retry_at = NEVER


class KeyRing:
    """The slots of one tenant, in the order of preference: `key`, then `previous`.

    `used_at` is when its key was last asked for. Until `absent_until` the tenant does not exist:
    Invopop has said that there are no such enrollments.
    """

    __slots__ = ("_first", "_others", "absent_until", "reread_at", "used_at")

    def __init__(self, slots: tuple[Slot, ...], *, used_at: float = NEVER) -> None:
        # Most tenants have one slot, and none of them a tuple of their own.
        self._first = slots[0] if slots else None
        self._others = slots[1:]
        self.used_at = used_at
        self.reread_at = NEVER
        self.absent_until = NEVER

    @property
    def slots(self) -> tuple[Slot, ...]:
        """All of them; none where all were issued to another application."""
        return (self._first, *self._others) if self._first is not None else ()

    def note_absence(self) -> None:
        """Takes up what the slots' last reads have shown of `absent_until`."""
        absent = all(slot.issued and slot.failure == NOT_FOUND for slot in self.slots)
        self.absent_until = max(slot.retry_at for slot in self.slots) if absent else NEVER

    def current(self, now: float) -> Key | NeedsRead | Unavailable:
        """The key to send: one never rejected, else the one whose rejection is longest ago.

        So the slot that worked last is remembered, and a new value is tried first.
        """
        first = self._first
        if first is not None and now < first.good_until and first.rejected_at == NEVER:
            key = first.key
            if key is not None:
                return key  # nearly always; the rest may be slow
        usable = self._usable(now)
        if usable:
            return usable[0]
        slots = self.slots
        asked = tuple(slot for slot in slots if now >= slot.retry_at)
        if asked:
            return NeedsRead(asked)
        soonest = min(slots, key=lambda slot: slot.retry_at)
        return Unavailable(slots[0].failure or soonest.failure, soonest.retry_at - now)

    def holders(self, key: Key) -> list[Slot]:
        """The slots that still hold this key's value."""
        return [
            slot for slot in self.slots if slot.key is not None and slot.key.secret == key.secret
        ]

    def reject(self, key: Key, now: float) -> None:
        """Invopop rejects this key: others are preferred to it from now on."""
        for slot in self.holders(key):
            slot.rejected_at = now

    def alternative(self, rejected: Key, now: float) -> Key | None:
        """The tenant's other or newer key: any usable one of another value than the rejected."""
        return next((key for key in self._usable(now) if key.secret != rejected.secret), None)

    def _usable(self, now: float) -> list[Key]:
        slots = sorted(
            (slot for slot in self.slots if now < slot.good_until),
            key=lambda slot: slot.rejected_at,
        )
        return [slot.key for slot in slots if slot.key is not None]


def report_change(slot: Slot, before: Key | None, emit: Emit) -> None:
    """Emits `KeyChanged` if the slot's key is not the one `before`; a first key is no change.

    Nor is an issued one, which is replaced all the time.
    """
    key = slot.key
    if slot.term is None and before is not None and key is not None and key.secret != before.secret:
        emit(KeyChanged(slot.tenant, slot.name, key.fingerprint, before.fingerprint))
