"""The rooms as the pipeline finds them. A reload replaces members; requests keep what they took."""

import time
from dataclasses import dataclass

from gateway.identity.authenticator import Authenticator
from gateway.model import Grant
from gateway.policy.grants import Grants
from gateway.policy.permits import Permits
from gateway.policy.rates import Rates
from gateway.policy.rates_shared import SharedRates
from gateway.upstream.sender import Sender
from gateway.vault.vault import Vault


@dataclass(slots=True)
class Rooms:
    """What serves requests, of one version of the configuration. `max_body` is bytes, 0 = any."""

    authenticator: Authenticator
    grants: Grants
    rates: Rates
    permits: Permits
    vault: Vault
    sender: Sender
    max_body: int
    shared_rates: SharedRates | None = None

    async def count(self, grant: Grant) -> float:
        """Counts a request against its rate limits: the seconds that a shared storage took.

        Raises `rate_limited`, or `overloaded`.
        """
        now = time.monotonic()
        if self.shared_rates is None:
            self.rates.take(grant.caller, grant.tenant, now)
            return 0.0
        await self.shared_rates.take(grant.caller, grant.tenant, now)
        return time.monotonic() - now
