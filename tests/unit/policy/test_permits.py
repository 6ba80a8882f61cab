"""In-flight permits: never more than the limits, and every place comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayFault
from gateway.policy.permits import Permit, Permits
from gateway.shares import Party

ACME, GLOBEX, INITECH = ("acme", "billing"), ("globex", "booking"), ("initech", "hotel")


def refusal(permits: Permits, party: Party) -> tuple[str, str]:
    """What a refusal says to the log, and to the caller."""
    with pytest.raises(GatewayFault) as refused:
        permits.acquire(party)
    assert refused.value.key == "overloaded"
    assert refused.value.headers == [(b"retry-after", b"1")]
    return refused.value.cause, refused.value.detail


def test_no_more_requests_are_in_flight_than_the_limit() -> None:
    """Past `max_in_flight` a request is refused at once, until another has ended."""
    permits = Permits(2)
    first = permits.acquire(ACME)
    permits.acquire(GLOBEX)
    assert refusal(permits, INITECH) == (
        "in_flight",
        "The gateway has too many requests in flight.",
    )
    first.release()
    permits.acquire(INITECH)
    assert permits.in_flight == 2


def test_one_tenant_cannot_starve_the_rest() -> None:
    """Past `max_in_flight_per_tenant` only that tenant is refused."""
    permits = Permits(10, 1)
    permits.acquire(ACME)
    assert refusal(permits, ACME) == (
        "tenant_in_flight",
        "This tenant has too many requests in flight.",
    )
    permits.acquire(GLOBEX)
    assert (permits.in_flight_of("acme"), permits.in_flight) == (1, 2)


@pytest.mark.parametrize(
    ("greedy", "others"),
    [
        ([("acme", "billing")], 40),
        ([(f"hotel-{number}", "billing") for number in range(50)], 20),
        ([("acme", f"service-{number}") for number in range(50)], 20),
    ],
    ids=["a caller for one tenant", "a caller for many tenants", "a tenant by many callers"],
)
def test_what_one_takes_leaves_some_for_others(greedy: list[Party], others: int) -> None:
    """However many one caller or one tenant asks for: the others still get theirs."""
    permits = Permits(1024)
    taken, refused = 0, ""
    for number in range(2048):
        try:
            permits.acquire(greedy[number % len(greedy)])
            taken += 1
        except GatewayFault as fault:
            refused = fault.cause
    assert (taken > 900, refused) == (True, "fair_share")
    for _ in range(others):
        permits.acquire(GLOBEX)


def test_a_refused_request_takes_no_place() -> None:
    """Refusals leave the count as it was."""
    permits = Permits(10, 1)
    held = permits.acquire(ACME)
    refusal(permits, ACME)
    held.release()
    assert (permits.in_flight, permits.in_flight_of("acme")) == (0, 0)


def test_a_permit_gives_its_place_back_once() -> None:
    """Releasing twice frees one place, not another request's."""
    permits = Permits(2)
    held = permits.acquire(ACME)
    permits.acquire(ACME)
    held.release()
    held.release()
    assert permits.in_flight == 1


def test_zero_is_no_limit() -> None:
    """A limit of 0 is none."""
    permits = Permits(0, 0)
    for _ in range(2000):
        permits.acquire(ACME)
    assert permits.in_flight == 2000


def test_limits_may_change_while_requests_are_in_flight() -> None:
    """After a reload the new limit counts, with what is in flight still counted."""
    permits = Permits(3)
    held = [permits.acquire(ACME) for _ in range(3)]
    permits.max_in_flight = 1
    held[0].release()
    held[1].release()
    refusal(permits, ACME)
    held[2].release()
    permits.acquire(ACME)


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
            held.append((step, permits.acquire((step, "billing"))))
        except GatewayFault:
            of_tenant = sum(tenant == step for tenant, _ in held)
            assert len(held) == 6 or of_tenant == 3
    assert permits.in_flight == len(held)
    assert set(permits._by_tenant) == {tenant for tenant, _ in held}
    assert all(permits.in_flight_of(name) <= 3 for name in "abc")
