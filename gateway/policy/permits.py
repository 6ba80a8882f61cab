"""In-flight permits: how many requests may be under way, in all and for one tenant (bulkhead).

Rule: never waits. A request that finds no permit is refused at once, so that no queue can grow.
Nobody gets the last permits: some are left for whoever comes next.
"""

from typing import Final

from gateway.errors import GatewayFault
from gateway.shares import Party, Shares

# A caller holds at most 20/21 of the permits for one tenant, and a caller or a tenant as a whole at
# most 40/41; of 1024 that leaves 49 and 25.
PAIR: Final = 20
WHOLE: Final = 40


class Permit:
    """One request's place. Give it back with `release`, at least once: more does no harm."""

    __slots__ = ("_party", "_permits")

    def __init__(self, permits: "Permits", party: Party) -> None:
        self._permits: Permits | None = permits
        self._party = party

    def release(self) -> None:
        """Gives the place back."""
        permits, self._permits = self._permits, None
        if permits is not None:
            permits._leave(self._party)  # noqa: SLF001 - a permit is the other half of Permits


class Permits:
    """Counts the requests in flight. Its limits may change at any moment; 0 means no limit."""

    def __init__(self, max_in_flight: int, max_per_tenant: int = 0) -> None:
        self.max_in_flight = max_in_flight
        self.max_per_tenant = max_per_tenant
        self.in_flight = 0
        self._by_tenant: dict[str, int] = {}
        self._shares = Shares(PAIR, WHOLE)

    def acquire(self, party: Party) -> Permit:
        """A place for one request. Raises GatewayFault `overloaded` if there is none."""
        used, limit, tenant = self.in_flight, self.max_in_flight, party[0]
        if limit and not self._shares.may_take(party, used, limit - used):
            if limit <= used:
                raise _overloaded("The gateway has too many requests in flight.", "in_flight")
            raise _overloaded("Too many requests in flight are this caller's.", "fair_share")
        of_tenant = self._by_tenant.get(tenant, 0)
        if 0 < self.max_per_tenant <= of_tenant:
            raise _overloaded("This tenant has too many requests in flight.", "tenant_in_flight")
        self.in_flight += 1
        self._by_tenant[tenant] = of_tenant + 1
        self._shares.take(party)
        return Permit(self, party)

    def in_flight_of(self, tenant: str) -> int:
        """How many requests of one tenant are in flight."""
        return self._by_tenant.get(tenant, 0)

    def _leave(self, party: Party) -> None:
        tenant = party[0]
        self.in_flight -= 1
        self._shares.give(party)
        left = self._by_tenant[tenant] - 1
        if left:
            self._by_tenant[tenant] = left
        else:
            del self._by_tenant[tenant]


def _overloaded(detail: str, cause: str) -> GatewayFault:
    return GatewayFault("overloaded", detail, headers=[(b"retry-after", b"1")], cause=cause)
