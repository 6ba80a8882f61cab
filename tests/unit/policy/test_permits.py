"""In-flight permits: never more than the limits, and every place comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayFault
from gateway.policy.permits import Permit, Permits


def refusal(permits: Permits, tenant: str) -> tuple[str, str]:
    """What a refusal says to the log, and to the caller."""
    with pytest.raises(GatewayFault) as refused:
        permits.acquire(tenant)
    assert refused.value.key == "overloaded"
    assert refused.value.headers == [(b"retry-after", b"1")]
    return refused.value.cause, refused.value.detail


def test_no_more_requests_are_in_flight_than_the_limit() -> None:
    """Past `max_in_flight` a request is refused at once, until another has ended."""
    permits = Permits(2)
    first = permits.acquire("acme")
    permits.acquire("globex")
    assert refusal(permits, "initech") == (
        "in_flight",
        "The gateway has too many requests in flight.",
    )
    first.release()
    permits.acquire("initech")
    assert permits.in_flight == 2


def test_one_tenant_cannot_starve_the_rest() -> None:
    """Past `max_in_flight_per_tenant` only that tenant is refused."""
    permits = Permits(10, 1)
    permits.acquire("acme")
    assert refusal(permits, "acme") == (
        "tenant_in_flight",
        "This tenant has too many requests in flight.",
    )
    permits.acquire("globex")
    assert (permits.in_flight_of("acme"), permits.in_flight) == (1, 2)


def test_a_refused_request_takes_no_place() -> None:
    """Refusals leave the count as it was."""
    permits = Permits(10, 1)
    held = permits.acquire("acme")
    refusal(permits, "acme")
    held.release()
    assert (permits.in_flight, permits.in_flight_of("acme")) == (0, 0)


def test_a_permit_gives_its_place_back_once() -> None:
    """Releasing twice frees one place, not another request's."""
    permits = Permits(2)
    held = permits.acquire("acme")
    permits.acquire("acme")
    held.release()
    held.release()
    assert permits.in_flight == 1


def test_zero_is_no_limit() -> None:
    """A limit of 0 is none."""
    permits = Permits(0, 0)
    for _ in range(2000):
        permits.acquire("acme")
    assert permits.in_flight == 2000


def test_limits_may_change_while_requests_are_in_flight() -> None:
    """After a reload the new limit counts, with what is in flight still counted."""
    permits = Permits(3)
    held = [permits.acquire("acme") for _ in range(3)]
    permits.max_in_flight = 1
    held[0].release()
    held[1].release()
    refusal(permits, "acme")
    held[2].release()
    permits.acquire("acme")


@given(st.lists(st.sampled_from(["a", "b", "c", "-"]), max_size=60))
def test_the_counts_are_those_of_the_permits_held(steps: list[str]) -> None:
    """Whatever comes and goes, the figures are right, and an idle tenant takes no memory."""
    permits, held = Permits(6, 3), list[tuple[str, Permit]]()
    for step in steps:
        if step == "-":
            if held:
                held.pop(0)[1].release()
            continue
        try:
            held.append((step, permits.acquire(step)))
        except GatewayFault:
            of_tenant = sum(tenant == step for tenant, _ in held)
            assert len(held) == 6 or of_tenant == 3
    assert permits.in_flight == len(held)
    assert set(permits._by_tenant) == {tenant for tenant, _ in held}
    assert all(permits.in_flight_of(name) <= 3 for name in "abc")
