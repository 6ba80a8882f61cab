"""Shares: who may take more of what all requests share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.shares import Party, Shares

LIMIT = 256


def fill(shares: Shares, parties: list[Party], used: int = 0, limit: int = LIMIT) -> int:
    """Lets them take, in turn, all that they may; what is in use then."""
    going = True
    while going:
        going = False
        for party in parties:
            if shares.may_take(party, used, limit - used):
                shares.take(party)
                used += 1
                going = True
    return used


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_of_few_one_may_have_all(limit: int) -> None:
    """There is too little to keep anything back."""
    assert fill(Shares(4, 7), [("acme", "billing")], limit=limit) == limit


@pytest.mark.parametrize(
    ("parties", "used"),
    [
        ([("acme", "billing")], 205),
        ([(f"hotel-{number}", "billing") for number in range(300)], 224),
        ([("acme", f"service-{number}") for number in range(300)], 224),
        ([("acme", "billing"), ("globex", "booking")], 228),
    ],
    ids=["one pair", "one caller", "one tenant", "two that have nothing in common"],
)
def test_something_is_left(parties: list[Party], used: int) -> None:
    """Alone one gets most of it, never all; and the more want much, the less each of them gets."""
    assert fill(Shares(4, 7), parties) == used


@pytest.mark.parametrize(
    ("greedy", "other"),
    [
        (("acme", "billing"), ("acme", "booking")),
        (("acme", "billing"), ("globex", "billing")),
        (("acme", "billing"), ("globex", "booking")),
    ],
    ids=["another caller", "another tenant of the same caller", "another of both"],
)
def test_another_still_gets_some(greedy: Party, other: Party) -> None:
    """Also one that shares the tenant, or the caller, with who took most."""
    shares = Shares(4, 7)
    used = fill(shares, [greedy])
    assert fill(shares, [other], used) - used >= 16


def test_who_has_more_than_its_share_by_now_gets_no_more() -> None:
    """What is given back goes to the others until all have as much."""
    shares = Shares(4, 7)
    used = fill(shares, [("acme", "billing")])
    while used < LIMIT - 1:
        shares.take(("globex", "booking"))
        used += 1
    assert not shares.may_take(("acme", "billing"), used, LIMIT - used)
    assert shares.may_take(("initech", "hotel"), used, LIMIT - used)


names = st.sampled_from("abc")


@given(st.lists(st.tuples(names, names, st.booleans()), max_size=200), st.integers(1, 40))
def test_the_last_is_never_given_to_who_has_much(
    steps: list[tuple[str, str, bool]], limit: int
) -> None:
    """No holding grows beyond its multiple of what was free, and none is lost or made up."""
    shares, held = Shares(4, 7), list[Party]()
    for tenant, caller, takes in steps:
        party = (tenant, caller)
        free = limit - len(held)
        if not takes:
            if party in held:
                held.remove(party)
                shares.give(party)
            continue
        expected = (
            held.count(party) < 4 * free
            and sum(one[0] == tenant for one in held) < 7 * free
            and sum(one[1] == caller for one in held) < 7 * free
        )
        assert shares.may_take(party, len(held), free) == expected
        if expected:
            held.append(party)
            shares.take(party)
    assert shares._held == {party: held.count(party) for party in held}
