"""When is an issued key renewed, and when is it let go? Decides; does no I/O; `now` comes in.

Rule: a key that is in use is renewed long before it ends; one that nobody uses is not.
"""

import random
from typing import Final, Literal, NamedTuple

from gateway.settings.schema import VaultSettings
from gateway.vault.key_ring import KeyLife, Slot
from gateway.vault.sources.source import DISABLED, MALFORMED, NOT_FOUND

# How long before its end a key is renewed: Invopop may be away for so long, unnoticed.
LEAD: Final = 300.0  # seconds, or
LEAD_SHARE: Final = 0.2  # of its life, if that is more; but no more than
MOST_LEAD: Final = 0.5  # of it: a key must also be used
IN_USE: Final = 600.0  # seconds since its last use, or its life: then a key is renewed no more
# A key is not used right before its end: it must be valid still when the request arrives.
MARGIN: Final = 1.0  # seconds, but at most
MARGIN_SHARE: Final = 0.1  # of its life
SOONEST: Final = 1.0  # seconds between two calls for one key, whatever they bring
LATEST_RETRY: Final = 30.0  # seconds between two attempts while there is a key
_TENANTS_OWN: Final = frozenset({NOT_FOUND, DISABLED, MALFORMED})


def new_term(expires_at: float, started: float, wall: float) -> KeyLife:
    """The life of a key asked for at `started`, which was `wall` in seconds since the epoch.

    Renewals are jittered, so that keys that were issued together do not all come at once.
    """
    life = max(0.0, expires_at - wall)
    lead = min(max(LEAD, LEAD_SHARE * life), MOST_LEAD * life)
    renewed_after = (life - lead) * random.uniform(0.9, 1.0)  # noqa: S311
    return KeyLife(
        ends=started + life - min(MARGIN, MARGIN_SHARE * life),
        renew_at=started + max(SOONEST, renewed_after),
        life=life,
        expires_at=expires_at,
    )


def next_look(slot: Slot, settings: VaultSettings, now: float) -> float:
    """When to look at a slot again whose read has ended."""
    if not slot.failure and slot.term is not None:
        return slot.term.renew_at
    if slot.term is not None and now < slot.term.ends:
        wait = min(LATEST_RETRY, (slot.term.ends - now) / 4)
    elif slot.failure in _TENANTS_OWN:
        wait = settings.refresh
    else:
        wait = min(settings.refresh, settings.negative_ttl, slot.retry_at - now)
    return now + max(SOONEST, wait) * random.uniform(0.75, 1.0)  # noqa: S311


class Step(NamedTuple):
    """What to do about a slot that is due: read it, let its key go, or look again at `at`."""

    action: Literal["read", "let_go", "wait"]
    at: float = 0.0


def step(slot: Slot, used_at: float, now: float) -> Step:
    """What to do now. `used_at` is when the tenant's key was last asked for."""
    term = slot.term
    if term is None:
        return Step("read")
    if not slot.failure and now < term.renew_at:
        return Step("wait", term.renew_at)  # it has been replaced meanwhile
    if now - used_at <= max(IN_USE, term.life):
        return Step("read")
    if now >= term.ends:
        return Step("let_go")
    # It may be used again before its end: then no request should wait for the next one.
    return Step("wait", now + max(SOONEST, (term.ends - now) / 2))
