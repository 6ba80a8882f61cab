"""Sliding counts, of which the retry budget and the breaker are made."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.window import SlidingCount


def test_what_is_as_old_as_the_window_counts_no_more() -> None:
    """Also when somebody looked a moment before."""
    counted = SlidingCount(10.0)
    assert counted.add(0.0) == 1
    assert counted.count(9.9) == 1
    assert counted.count(10.0) == 0


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
