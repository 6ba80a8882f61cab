"""Tells that a slot's key took the place of another. Law: quotes fingerprints only."""

from gateway.events import Emit, KeyChanged
from gateway.model import Key
from gateway.vault.key_ring import Slot


def tell_change(slot: Slot, before: Key | None, emit: Emit) -> None:
    """Compares the slot's key with the one it had `before`; the first one is no change."""
    key = slot.key
    if before is not None and key is not None and key.secret != before.secret:
        emit(KeyChanged(slot.tenant, slot.name, key.fingerprint, before.fingerprint))
