"""Gateways for tests of identity: changes to the usual world, and how one is started."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.support.world import World

# The usual callers without the usual issuers: what a test configures takes their place.
NO_ISSUERS: Mapping[str, Any] = {
    name: {"issuers": []} for name in ("billing", "ledger", "shared", "tokens-only")
}
# Without asyncio's debug mode, where it is speed that lets many requests fit in a test.
UNOBSERVED = {"PYTHONDEVMODE": ""}
Worlds = Callable[..., World]
