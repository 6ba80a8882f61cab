"""The retry budget: what share of the traffic retries may be."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.retry import Budget


def test_ten_retries_a_second_are_always_allowed() -> None:
    """Little traffic is no reason to let a request fail."""
    budget = Budget()
    assert [budget.take(0.0) for _ in range(11)] == [True] * 10 + [False]
    assert not budget.take(0.99)
    assert [budget.take(1.0) for _ in range(11)] == [True] * 10 + [False]


def test_a_fifth_of_recent_requests_may_be_retried() -> None:
    """Beyond ten a second retries grow with the traffic, and shrink with it."""
    budget = Budget()
    for _ in range(500):
        budget.request(0.0)
    assert sum(budget.take(0.1) for _ in range(500)) == 100
    assert not budget.take(1.0)
    assert sum(budget.take(20.0) for _ in range(500)) == 10


steps = st.lists(
    st.tuples(st.sampled_from([0.0, 0.0, 0.0, 0.01, 0.3, 1.0, 4.0]), st.booleans()), max_size=300
)


@given(steps)
def test_no_sequence_exceeds_the_budget(steps: list[tuple[float, bool]]) -> None:
    """Each retry that is granted is one of ten in its second, or within a fifth of the window."""
    budget, now = Budget(), 0.0
    requests: list[float] = []
    retries: list[float] = []
    for wait, is_request in steps:
        now += wait
        if is_request:
            budget.request(now)
            requests.append(now)
            continue
        granted = budget.take(now)
        few = sum(at > now - 1.0 for at in retries) < 10
        if not granted:
            assert not few
            continue
        recent = sum(at > now - 10.5 for at in requests)
        assert few or 5 * (sum(at > now - 9.5 for at in retries) + 1) <= recent
        retries.append(now)
