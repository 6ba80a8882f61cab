"""In-flight permits: how many requests may be under way, in all and for one tenant (bulkhead).

Rule: never waits. A request that finds no permit is refused at once, so that no queue can grow.
"""

from gateway.errors import GatewayFault


class Permit:
    """One request's place. Give it back with `release`, at least once: more does no harm."""

    __slots__ = ("_permits", "_tenant")

    def __init__(self, permits: "Permits", tenant: str) -> None:
        self._permits: Permits | None = permits
        self._tenant = tenant

    def release(self) -> None:
        """Gives the place back."""
        permits, self._permits = self._permits, None
        if permits is not None:
            permits._leave(self._tenant)  # noqa: SLF001 - a permit is the other half of Permits


class Permits:
    """Counts the requests in flight. Its limits may change at any moment; 0 means no limit."""

    def __init__(self, max_in_flight: int, max_per_tenant: int = 0) -> None:
        self.max_in_flight = max_in_flight
        self.max_per_tenant = max_per_tenant
        self.in_flight = 0
        self._by_tenant: dict[str, int] = {}

    def acquire(self, tenant: str) -> Permit:
        """A place for one request. Raises GatewayFault `overloaded` if there is none."""
        if 0 < self.max_in_flight <= self.in_flight:
            raise _overloaded("The gateway has too many requests in flight.", "in_flight")
        of_tenant = self._by_tenant.get(tenant, 0)
        if 0 < self.max_per_tenant <= of_tenant:
            raise _overloaded("This tenant has too many requests in flight.", "tenant_in_flight")
        self.in_flight += 1
        self._by_tenant[tenant] = of_tenant + 1
        return Permit(self, tenant)

    def in_flight_of(self, tenant: str) -> int:
        """How many requests of one tenant are in flight."""
        return self._by_tenant.get(tenant, 0)

    def _leave(self, tenant: str) -> None:
        self.in_flight -= 1
        left = self._by_tenant[tenant] - 1
        if left:
            self._by_tenant[tenant] = left
        else:
            del self._by_tenant[tenant]


def _overloaded(detail: str, cause: str) -> GatewayFault:
    return GatewayFault("overloaded", detail, headers=[(b"retry-after", b"1")], cause=cause)
