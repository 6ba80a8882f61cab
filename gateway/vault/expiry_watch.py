"""Warns of keys that end soon, in good time for someone to act. Law: quotes fingerprints only."""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from gateway.events import Emit, Noticed
from gateway.vault.key_ring import Slot
from gateway.vault.table import DAY, ends_soon

SCAN: Final = 3600.0  # seconds


async def warn_of_expiry(slots: Callable[[], Iterable[Slot]], emit: Emit) -> None:
    """Looks at all slots each hour, until cancelled."""
    warned: dict[Slot, float] = {}
    while True:
        # In a thread: of very many tenants this takes longer than a request should wait.
        for warning in await asyncio.to_thread(expiry_warnings, slots(), warned):
            emit(warning)
        await asyncio.sleep(SCAN)


def expiry_warnings(slots: Iterable[Slot], warned: dict[Slot, float]) -> list[Noticed]:
    """A warning for each key that expires within 14 days, at most once a day for each.

    `warned` remembers when each slot was warned of; what is no longer near its end leaves it.
    """
    now = time.time()
    due = {slot: slot.expires_at for slot in slots if ends_soon(slot.expires_at, now)}
    for gone in warned.keys() - due.keys():
        del warned[gone]
    warnings = []
    for slot, expires_at in due.items():
        if slot.key is None or now - warned.get(slot, 0.0) < DAY:
            continue
        warned[slot] = now
        fields = {
            "tenant": slot.tenant,
            "slot": slot.name,
            "key_fingerprint": slot.key.fingerprint,
            "expires": datetime.fromtimestamp(expires_at or 0.0, UTC).isoformat(),
        }
        warnings.append(Noticed("key_expires_soon", "warning", fields))
    return warnings
