"""The open circuit: whom it refuses, whom it lets probe, and what closes it."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayFault
from gateway.events import CircuitChanged
from gateway.shares import Party
from gateway.upstream.breaker import Breaker, Probe

OPEN_FOR = 5.0
A, B, OTHER = ("acme", "billing"), ("globex", "booking"), ("initech", "hotel")
OK, FAILED = True, False


def attempts(
    breaker: Breaker, results: Iterable[tuple[Party, bool]], now: float = 0.0
) -> list[CircuitChanged]:
    """Ordinary attempts, all at one moment; the changes that they made."""
    made = [breaker.record(party, now, ok, None) for party, ok in results]
    return [change for change in made if change is not None]


def opened(now: float = 0.0) -> Breaker:
    """A breaker that has just opened, by the failures of acme and globex."""
    breaker = Breaker(0.5, OPEN_FOR)
    assert attempts(breaker, [(A, FAILED), (B, FAILED)] * 10, now)
    return breaker


def refused(breaker: Breaker, party: Party, now: float) -> bytes:
    """The Retry-After of the refusal."""
    with pytest.raises(GatewayFault) as fault:
        breaker.admit(party, now)
    assert fault.value.key == "circuit_open"
    assert fault.value.detail == "Invopop fails too often: wait for Retry-After."
    ((name, value),) = fault.value.headers
    assert name == b"retry-after"
    return value


def probe(breaker: Breaker, party: Party, now: float) -> Probe:
    admitted = breaker.admit(party, now)
    assert admitted is not None
    return admitted


def test_an_open_circuit_refuses_until_its_time_is_over() -> None:
    """503 circuit_open, with the seconds that are left; then one probe goes through."""
    breaker = opened(now=100.0)
    assert refused(breaker, A, 100.0) == b"5"
    assert refused(breaker, B, 103.5) == b"2"
    assert refused(breaker, OTHER, 104.999) == b"1"
    assert probe(breaker, A, 105.0)
    assert refused(breaker, B, 105.0) == b"5"


def test_a_check_admits_nobody() -> None:
    """It refuses as `admit` would, and takes no probe's place."""
    breaker = opened()
    with pytest.raises(GatewayFault, match="circuit_open"):
        breaker.check(A, 4.9)
    breaker.check(A, 5.0)
    assert probe(breaker, A, 5.0)
    with pytest.raises(GatewayFault, match="circuit_open"):
        breaker.check(A, 5.0)
    closed = Breaker(0.5, OPEN_FOR)
    closed.check(A, 0.0)


def test_a_probe_that_succeeds_closes_it() -> None:
    """Everyone goes again, and what failed before is forgotten."""
    breaker = opened()
    assert breaker.record(A, 5.1, True, probe(breaker, A, 5.0)) == CircuitChanged(
        False, "a probe succeeded"
    )
    assert not breaker.open
    assert breaker.admit(B, 5.1) is None
    assert not attempts(breaker, [(A, FAILED), (B, FAILED)] * 9, now=5.1)
    assert attempts(breaker, [(A, FAILED), (B, FAILED)], now=5.1)


def test_a_probe_that_fails_keeps_it_open() -> None:
    """For as long again; and that is no change to be told."""
    breaker = opened()
    assert breaker.record(A, 6.0, False, probe(breaker, A, 5.0)) is None
    assert refused(breaker, B, 6.0) == b"5"
    assert refused(breaker, B, 10.9) == b"1"
    assert probe(breaker, B, 11.0)


def test_a_probe_whose_caller_leaves_gives_its_place_back() -> None:
    """Nothing was learnt, so the next one may ask at once; giving back twice gives nothing."""
    breaker = opened()
    left = probe(breaker, A, 5.0)
    breaker.release(left)
    second = probe(breaker, B, 5.0)
    breaker.release(left)
    breaker.release(None)
    assert refused(breaker, A, 5.0) == b"5"
    breaker.release(second)
    assert probe(breaker, A, 5.0)


def test_a_slow_probe_does_not_hold_the_circuit_open() -> None:
    """Invopop may take a minute over a job: after five seconds another probe may go."""
    breaker = opened()
    slow = probe(breaker, A, 5.0)
    assert refused(breaker, B, 9.9) == b"1"
    quick = probe(breaker, B, 10.0)
    assert breaker.record(B, 10.1, True, quick)
    assert breaker.record(A, 60.0, False, slow) is None
    assert not breaker.open


def test_a_failed_probe_is_not_undone_by_one_that_leaves() -> None:
    """The circuit stays open its time after each failure, whatever the others do."""
    breaker = opened()
    slow, quick = probe(breaker, A, 5.0), probe(breaker, B, 10.0)
    breaker.record(B, 10.1, False, quick)
    breaker.release(slow)
    assert refused(breaker, A, 15.0) == b"1"
    assert probe(breaker, A, 15.1)


def test_late_results_do_not_count_while_open() -> None:
    """What was sent before it opened neither closes it nor keeps it open."""
    breaker = opened()
    assert attempts(breaker, [(A, OK), (B, FAILED)] * 50, now=4.0) == []
    assert refused(breaker, A, 4.0) == b"1"
    assert probe(breaker, A, 5.0)


def test_one_tenants_failing_probes_do_not_hold_back_the_others() -> None:
    """Who failed as a probe lets the others go first, if there are any, for as long again."""
    breaker = opened()
    breaker.record(A, 5.0, False, probe(breaker, A, 5.0))
    assert refused(breaker, B, 6.0) == b"4"
    assert refused(breaker, A, 10.0) == b"1"
    assert breaker.record(B, 10.1, True, probe(breaker, B, 10.0))


@pytest.mark.parametrize(
    "kin", [("acme", "booking"), ("globex", "billing")], ids=["its tenant", "its caller"]
)
def test_who_shares_tenant_or_caller_with_a_failing_probe_waits_as_well(kin: Party) -> None:
    """Else one caller's failures for many tenants would take every probe's place."""
    breaker = opened()
    breaker.record(A, 5.0, False, probe(breaker, A, 5.0))
    refused(breaker, OTHER, 6.0)
    assert refused(breaker, kin, 10.0) == b"1"
    assert probe(breaker, OTHER, 10.1)


def test_another_tenant_of_the_only_caller_may_probe_first() -> None:
    """One caller serves all tenants, and one of them fails: the others are not held back."""
    breaker, other = opened(), ("globex", "billing")
    breaker.record(A, 5.0, False, probe(breaker, A, 5.0))
    refused(breaker, other, 6.0)
    assert refused(breaker, A, 10.0) == b"1"
    assert breaker.record(other, 10.1, True, probe(breaker, other, 10.0))


def test_a_failed_probe_is_forgotten_when_the_circuit_closes() -> None:
    """The next time it opens, whoever comes first may probe."""
    breaker = opened()
    breaker.record(A, 5.0, False, probe(breaker, A, 5.0))
    breaker.record(B, 10.0, True, probe(breaker, B, 10.0))
    assert attempts(breaker, [(A, FAILED), (B, FAILED)] * 10, now=11.0)
    refused(breaker, B, 12.0)
    assert probe(breaker, A, 16.0)


def test_a_tenant_does_not_wait_for_others_who_are_not_there() -> None:
    """Alone, it probes at each turn; and if those who asked are gone, at the one after."""
    breaker = opened()
    breaker.record(A, 5.0, False, probe(breaker, A, 5.0))
    refused(breaker, A, 6.0)
    breaker.record(A, 10.0, False, probe(breaker, A, 10.0))
    refused(breaker, B, 11.0)
    refused(breaker, A, 19.9)
    assert probe(breaker, A, 20.0)


@pytest.mark.parametrize("stage", ["closed", "open", "half-open"])
def test_a_breaker_shows_its_state(stage: str) -> None:
    """Its `repr` is one of three."""
    breaker = Breaker(0.5, OPEN_FOR) if stage == "closed" else opened()
    if stage == "half-open":
        probe(breaker, A, 5.0)
    assert repr(breaker) == f"<Breaker {stage}>"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.0, 0.5, 3.0, 6.0]),
            st.tuples(st.sampled_from("ab"), st.sampled_from("xy")),
            st.sampled_from(["admit", "ok", "fail", "leave"]),
        ),
        max_size=80,
    )
)
def test_an_open_circuit_lets_few_through(steps: list[tuple[float, Party, str]]) -> None:
    """While open: nobody within its time after a failure, nobody beside a fresh probe."""
    breaker, now = opened(), 0.0
    failed_at = 0.0
    pending: list[Probe] = []
    for wait, party, step in steps:
        now += wait
        if step == "admit":
            try:
                admitted = breaker.admit(party, now)
            except GatewayFault:
                continue
            assert admitted is not None
            assert now >= failed_at + OPEN_FOR
            assert all(now >= other.since + 5.0 or other.since < failed_at for other in pending)
            pending.append(admitted)
        elif pending:
            probe = pending.pop()
            if step == "leave":
                breaker.release(probe)
            elif breaker.record(probe.party, now, step == "ok", probe):
                return
            else:
                failed_at = now


def test_recovery_is_found_out_soon() -> None:
    """An outage of a minute under load: some dozen probes, and it ends within one turn."""
    breaker, reached = Breaker(0.5, OPEN_FOR), 0
    recovered = 0.0
    for tick in range(8_000):
        now, party = tick / 100, ("abcdefgh"[tick % 8], "xyz"[tick % 3])
        up = not 10.0 <= now < 70.0
        try:
            admitted = breaker.admit(party, now)
        except GatewayFault:
            continue
        reached += not up
        change = breaker.record(party, now, up, admitted)
        if change is not None and not change.open:
            recovered = now
    assert reached < 1_100
    assert 70.0 <= recovered <= 75.1
