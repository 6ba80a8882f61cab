"""The circuit breaker: what opens it, for whom, and what closes it again."""

import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.events import CircuitChanged
from gateway.shares import Party
from gateway.upstream.breaker import Breaker

OPEN_FOR = 5.0


def attempts(
    breaker: Breaker, results: Iterable[tuple[Party, bool]], now: float = 0.0
) -> list[CircuitChanged]:
    """Ordinary attempts, all at one moment; the changes that they made."""
    made = [breaker.record(party, now, ok, None) for party, ok in results]
    return [change for change in made if change is not None]


A, B = ("acme", "billing"), ("globex", "booking")
A_BY_OTHER, OTHER_BY_A = ("acme", "booking"), ("globex", "billing")
OK, FAILED = True, False

JUDGED = [
    ("all failed, for two tenants", [(A, FAILED), (B, FAILED)] * 10, True),
    ("one attempt too few", [(A, FAILED), (B, FAILED)] * 9 + [(A, FAILED)], False),
    ("half of them failed", [(A, FAILED), (B, OK)] * 9 + [(B, FAILED), (A, OK)], True),
    ("half of them failed first", [(A, FAILED)] * 5 + [(B, FAILED)] * 5 + [(A, OK)] * 10, True),
    ("less than half failed", [(A, FAILED), (B, OK)] * 9 + [(A, OK), (B, OK)], False),
    ("all failed, for the only tenant", [(A, FAILED)] * 20, True),
    ("all failed, for one of two", [(A, FAILED)] * 19 + [(B, OK)] + [(A, FAILED)] * 99, False),
    ("the other one came first", [(B, OK)] + [(A, FAILED)] * 999, False),
    ("the other one came between", [(A, FAILED)] * 9 + [(B, OK)] + [(A, FAILED)] * 9, False),
    (
        "all failed, for two tenants of the only caller",
        [(A, FAILED), (OTHER_BY_A, FAILED)] * 10,
        True,
    ),
    (
        "all failed, for two callers of the only tenant",
        [(A, FAILED), (A_BY_OTHER, FAILED)] * 10,
        True,
    ),
    (
        "one of two callers failed, for many tenants",
        [(B, OK)] + [(A, FAILED), (OTHER_BY_A, FAILED)] * 99,
        False,
    ),
    (
        "one of two tenants failed, for many callers",
        [(B, OK)] + [(A, FAILED), (A_BY_OTHER, FAILED)] * 99,
        False,
    ),
    ("nothing failed", [(A, OK), (B, OK)] * 500, False),
]


@pytest.mark.parametrize(
    ("results", "opens"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_what_opens_the_circuit(results: list[tuple[Party, bool]], opens: bool) -> None:
    """Enough attempts, enough failures, and not one tenant's or caller's alone among others."""
    breaker = Breaker(0.5, OPEN_FOR)
    changes = attempts(breaker, results)
    assert [change.open for change in changes] == [True] * opens
    assert breaker.open == opens


@pytest.mark.parametrize(("broken", "opens"), [(12, True), (11, False)])
def test_replies_that_break_off_are_one_attempt_each(broken: int, opens: bool) -> None:
    """An attempt that began well and broke off is a failure, and not also a success."""
    breaker = Breaker(0.6, OPEN_FOR)
    attempts(breaker, [(A, OK), (B, OK)] * 10)
    changes = [breaker.broke_off((A, B)[number % 2], 0.0) for number in range(broken)]
    assert [change.open for change in changes if change is not None] == [True] * opens
    assert breaker.open == opens


def test_the_change_says_why() -> None:
    """The log gets the figures, and whose failures they are; nothing is told twice."""
    breaker, share = Breaker(0.5, OPEN_FOR), "20 of 20 attempts within 10 s failed"
    changes = attempts(breaker, [(A, FAILED), (B, FAILED)] * 50)
    assert changes == [CircuitChanged(True, f"{share}, for several tenants and several callers")]
    (alone,) = attempts(Breaker(0.5, OPEN_FOR), [(A, FAILED)] * 20)
    assert alone.reason == f"{share}, for the only tenant and the only caller"


def test_ratio_zero_never_opens() -> None:
    """The operator can do without."""
    breaker = Breaker(0.0, OPEN_FOR)
    assert attempts(breaker, [(A, FAILED), (B, FAILED)] * 500) == []
    assert breaker.admit(A, 0.0) is None


def test_ratio_one_wants_every_attempt_to_fail() -> None:
    """One success within the window is enough to keep it closed."""
    breaker = Breaker(1.0, OPEN_FOR)
    assert attempts(breaker, [(A, OK)] + [(A, FAILED), (B, FAILED)] * 50) == []
    assert attempts(breaker, [(A, FAILED), (B, FAILED)] * 10, now=10.0)


def test_old_failures_are_forgotten() -> None:
    """Twenty failures that do not lie within ten seconds do not open it."""
    breaker = Breaker(0.5, OPEN_FOR)
    for index in range(200):
        assert not attempts(breaker, [(A, FAILED), (B, FAILED)][index % 2 :][:1], now=index * 0.6)
    for index in range(20):
        attempts(breaker, [(A, FAILED), (B, FAILED)][index % 2 :][:1], now=1000 + index * 0.45)
    assert breaker.open


def test_old_traffic_is_forgotten() -> None:
    """Who was quiet for ten seconds no longer keeps the circuit closed."""
    breaker = Breaker(0.5, OPEN_FOR)
    attempts(breaker, [(B, OK)], now=0.0)
    assert not attempts(breaker, [(A, FAILED)] * 30, now=9.9)
    assert attempts(breaker, [(A, FAILED)], now=10.0)


def test_memory_does_not_grow_with_tenants_or_callers() -> None:
    """Twenty thousand of both within one window leave no trace of their number."""
    breaker = Breaker(0.9, OPEN_FOR)
    tracemalloc.start()
    try:
        for index in range(20_000):
            breaker.record(
                (f"tenant-{index}", f"caller-{index}"), index / 2_000, index % 2 > 0, None
            )
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 20_000


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 0, 1, 2, 7]),
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")),
        st.booleans(),
    ),
    max_size=150,
)


@given(steps, st.sampled_from([0.2, 0.5, 0.9, 1.0]))
def test_it_opens_exactly_when_it_should(
    steps: list[tuple[int, Party, bool]], ratio: float
) -> None:
    """The counts of constant size decide as a complete record of the window would."""
    breaker, now = Breaker(ratio, OPEN_FOR), 50.0
    record: list[tuple[float, Party, bool]] = []
    for wait, party, ok in steps:
        now += wait / 2
        record.append((now, party, ok))
        window = [entry for entry in record if entry[0] > now - 10.0]
        shared = True
        for which in (0, 1):
            failing = {party[which] for _, party, good in window if not good}
            traffic = {party[which] for _, party, _ in window}
            shared = shared and (len(failing) > 1 or len(traffic) == 1)
        failures = sum(not good for _, _, good in window)
        due = len(window) >= 20 and failures >= ratio * len(window)
        expected = due and shared
        assert (breaker.record(party, now, ok, None) is not None) == expected
        if expected:
            break


@pytest.mark.parametrize("which", [0, 1], ids=["tenant", "caller"])
@given(
    st.lists(
        st.tuples(st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), st.booleans()),
        max_size=300,
    )
)
def test_failures_of_one_never_open_it_for_others(
    which: int, mixed: list[tuple[Party, bool]]
) -> None:
    """One tenant's, or one caller's, however they are mixed with the others' successes."""
    breaker = Breaker(0.1, OPEN_FOR)
    attempts(breaker, [(("b", "b"), OK)])
    assert attempts(breaker, [(party, ok or party[which] != "a") for party, ok in mixed]) == []
