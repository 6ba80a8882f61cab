"""What the vault answers where it has no key to give. Law: never says more than the contract."""

import math

from gateway.errors import GatewayFault


class KeyNeeded(Exception):
    """The key is not in memory but may be had: `await vault.read(tenant, caller)`."""


def key_unavailable(cause: str, retry_after: float) -> GatewayFault:
    """503 with `Retry-After`, at least one second. `cause` is a constant word for the log."""
    seconds = max(1, math.ceil(retry_after)) if math.isfinite(retry_after) else 1
    return GatewayFault(
        "key_unavailable",
        "The tenant's key cannot be had just now.",
        headers=[(b"retry-after", b"%d" % seconds)],
        cause=cause,
    )
