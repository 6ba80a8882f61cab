"""The components that serve requests. A reload replaces some; requests keep what they took."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from gateway.identity.authenticator import Authenticator
from gateway.identity.tunnel_authority import TunnelAuthority
from gateway.model import Exchange, Grant
from gateway.observe.tracing import Tracer
from gateway.policy.grants import Grants
from gateway.policy.permits import Permits
from gateway.policy.rates import Rates
from gateway.policy.rates_shared import SharedRates
from gateway.turns import Turns
from gateway.upstream.file_hosts import FileSenders
from gateway.upstream.sender import Sender
from gateway.vault.vault import Vault

RecordBeforeSend = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class Services:
    """The components of one version of the configuration. `max_body` is in bytes, 0 = no limit.

    `proxy_variable` is how clients name this gateway and their token as their proxy.
    `record_before_send` returns once it is on record that a request is about to be sent with a
    key, or raises.
    """

    authenticator: Authenticator
    grants: Grants
    rates: Rates
    permits: Permits
    turns: Turns
    vault: Vault
    sender: Sender
    files: FileSenders
    max_body: int
    proxy_variable: str
    shared_rates: SharedRates | None = None
    tunnels: TunnelAuthority | None = None
    tracer: Tracer | None = None
    record_before_send: RecordBeforeSend | None = None

    async def count_shared(self, rates: SharedRates, grant: Grant) -> float:
        """Counts a request in the shared storage; returns the seconds that this took.

        Raises `rate_limited`, or `overloaded`.
        """
        now = monotonic()
        await rates.take(grant.caller, grant.tenant, now)
        return monotonic() - now
