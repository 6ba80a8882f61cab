"""The retry budget, and the sliding counts that it and the breaker are made of."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.budget import Budget
from gateway.upstream.window import SlidingCount


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


def test_what_is_as_old_as_the_window_counts_no_more() -> None:
    """Also when somebody looked a moment before."""
    counted = SlidingCount(10.0)
    assert counted.add(0.0) == 1
    assert counted.count(9.9) == 1
    assert counted.count(10.0) == 0


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


@given(st.lists(st.integers(0, 12), max_size=60))
def test_a_sliding_count_is_exact_on_its_slots(waits: list[int]) -> None:
    """It counts what happened within the window, and forgets the rest."""
    sliding, times, now = SlidingCount(10.0), [], 100.0
    for wait in waits:
        now += wait / 2
        times.append(now)
        expected = sum(at > now - 10.0 for at in times)
        assert sliding.add(now) == expected
        assert sliding.count(now) == expected
    assert sliding.count(now + 10.0) == 0
