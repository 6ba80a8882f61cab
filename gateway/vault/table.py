"""What the vault can tell about its keys without showing one: rows for `check`, metrics, status."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.errors import Problem
from gateway.settings.schema import Vault as VaultSettings
from gateway.settings.vault_file import LOCAL
from gateway.vault.expiry import expiry
from gateway.vault.key_ring import Slot

DAY: Final = 86_400.0
WARN_BEFORE: Final = 14 * DAY


class TenantRow(NamedTuple):
    """One slot of one tenant. `expires_at` is seconds since the epoch, None if unknown.

    `state` is "ok", "loading", "unchecked" (a pin waits for Invopop) or a failure's word; a key
    may be in use in any of them but "loading". `detail` says more, for operators.
    """

    tenant: str
    slot: str
    source: str
    fingerprint: str
    expires_at: float | None
    workspace: str | None
    state: str
    detail: str


def rows(slots: Iterable[Slot]) -> list[TenantRow]:
    """All slots, by tenant, `key` before `previous`."""
    return sorted(map(_row, slots))


def unresolved(slots: Iterable[Slot], settings: VaultSettings) -> list[Problem]:
    """A problem for each slot of this machine whose key cannot be had."""
    return [
        Problem(
            str(settings.file),
            f"tenants.{slot.tenant}.{slot.name}",
            slot.detail,
            "a key that can be read and sent",
        )
        for slot in slots
        if slot.source.kind in LOCAL and slot.failure
    ]


def ends_soon(expires_at: float | None, now: float) -> bool:
    """Whether a key that tells its expiry has less than 14 days left, or has ended."""
    return expires_at is not None and expires_at - now < WARN_BEFORE


def _row(slot: Slot) -> TenantRow:
    key = slot.key or slot.candidate
    state = slot.failure or ("unchecked" if slot.candidate else "ok" if slot.key else "loading")
    waiting = slot.candidate if slot.key is None else None
    expires_at = slot.expires_at if waiting is None else expiry(waiting.secret)
    return TenantRow(
        slot.tenant,
        slot.name,
        slot.source.describe(),
        key.fingerprint if key is not None else "",
        expires_at,
        slot.workspace,
        state,
        slot.detail,
    )
