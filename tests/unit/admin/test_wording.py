"""Numbers and times as the page writes them."""

import pytest

from gateway.admin.wording import ago, clock, day, duration, moment, percent, rate, span, until

AT = 1_764_097_408.0  # 2025-11-25T19:03:28Z


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s"), (0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
     (5400, "1 h 30 min"), (86_400, "1 d"), (788_645, "9 d 3 h")],
)  # fmt: skip
def test_spans_have_two_units_at_most(seconds: float, words: str) -> None:
    """The largest ones."""
    assert span(seconds) == words


def test_times() -> None:
    """In UTC, whatever the machine's zone is."""
    assert (clock(AT), day(AT), moment(AT)) == ("19:03:28", "2025-11-25", "2025-11-25T19:03:28Z")
    assert (ago(AT, AT + 0.5), ago(AT, AT + 90)) == ("just now", "1 min ago")
    assert (until(AT + 120, AT), until(AT - 120, AT)) == ("in 2 min", "2 min ago")
    assert (until(AT + 172_799, AT), until(AT + 800_000, AT)) == ("in 1 d 23 h", "in 9 d")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (0.000_08, "80 µs"), (0.00234, "2.34 ms"), (0.1564, "156 ms"), (12.34, "12.3 s")],
)
def test_latencies(seconds: float | None, words: str) -> None:
    """Two or three digits."""
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"),
    [(None, "–"), (0.0, "0 %"), (0.0001, "<0.1 %"), (0.00728, "0.7 %"), (0.36, "36 %"),
     (1.0, "100 %")],
)  # fmt: skip
def test_shares(share: float | None, words: str) -> None:
    """Nothing that happened is rounded to nothing."""
    assert percent(share) == words


@pytest.mark.parametrize(
    ("per_second", "words"), [(0.0, "0.0"), (0.01, "<0.1"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_rates(per_second: float, words: str) -> None:
    """The same of numbers a second."""
    assert rate(per_second) == words
