"""Rate limits in this process: token buckets per tenant and per caller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.policy.rates import MAX_BUCKETS, Rate, RateRules, Rates, TokenBuckets
from gateway.settings.callers import CallerSettings
from gateway.settings.schema import LimitsSettings

UNLIMITED = Rate(0.0, 1)


def rates(tenant: Rate = UNLIMITED, **callers: Rate) -> Rates:
    return Rates(RateRules(tenant, callers))


def refused(limiter: Rates, caller: str, tenant: str, now: float) -> tuple[str, int] | None:
    """What refuses the request, and its `Retry-After`; None if it goes through."""
    try:
        limiter.take(caller, tenant, now)
    except CallerError as error:
        return error.cause, int(dict(error.headers)[b"retry-after"])
    return None


def test_a_burst_goes_through_then_the_rate_counts() -> None:
    """Ten at once, then one each half second."""
    limiter = rates(Rate(2.0, 10))
    assert [refused(limiter, "c", "acme", 0.0) for _ in range(10)] == [None] * 10
    assert refused(limiter, "c", "acme", 0.0) == ("tenant", 1)
    assert refused(limiter, "c", "acme", 0.49) == ("tenant", 1)
    assert refused(limiter, "c", "acme", 0.5) is None
    assert refused(limiter, "c", "acme", 0.5) == ("tenant", 1)


def test_a_refusal_is_429_rate_limited() -> None:
    """The answer has its own key and says whose limit it is."""
    limiter = rates(Rate(1.0, 1))
    limiter.take("c", "acme", 0.0)
    with pytest.raises(CallerError) as error:
        limiter.take("c", "acme", 0.0)
    assert (error.value.key, error.value.status) == ("rate_limited", 429)
    assert "tenant" in error.value.detail


@pytest.mark.parametrize(("per_second", "seconds"), [(0.1, 10), (0.4, 3), (1.0, 1), (50.0, 1)])
def test_retry_after_is_when_the_next_token_comes(per_second: float, seconds: int) -> None:
    """`Retry-After` is computed, in whole seconds, rounded up: obeyed, the request goes through."""
    limiter = rates(Rate(per_second, 1))
    assert refused(limiter, "c", "acme", 100.0) is None
    assert refused(limiter, "c", "acme", 100.0) == ("tenant", seconds)
    assert refused(limiter, "c", "acme", 100.0 + seconds) is None


def test_tenants_are_limited_apart() -> None:
    """One tenant at its limit does not slow another, whoever calls."""
    limiter = rates(Rate(1.0, 1))
    assert refused(limiter, "c", "acme", 0.0) is None
    assert refused(limiter, "d", "acme", 0.0) == ("tenant", 1)
    assert refused(limiter, "d", "globex", 0.0) is None


def test_a_caller_may_have_a_limit_of_its_own() -> None:
    """A caller's limit counts all its tenants together, and no other caller."""
    limiter = rates(batch=Rate(1.0, 2))
    assert refused(limiter, "batch", "acme", 0.0) is None
    assert refused(limiter, "batch", "globex", 0.0) is None
    assert refused(limiter, "batch", "initech", 0.0) == ("caller", 1)
    assert refused(limiter, "billing", "acme", 0.0) is None


def test_a_refused_request_takes_nothing() -> None:
    """A caller past its own limit does not eat up the tenant's, nor the other way round."""
    limiter = rates(Rate(1.0, 2), batch=Rate(1.0, 1))
    assert refused(limiter, "batch", "acme", 0.0) is None
    for _ in range(5):
        assert refused(limiter, "batch", "acme", 0.0) == ("caller", 1)
    assert refused(limiter, "billing", "acme", 0.0) is None
    assert refused(limiter, "batch", "acme", 1.0) is None
    limiter = rates(Rate(0.1, 1), batch=Rate(1.0, 2))
    assert refused(limiter, "billing", "acme", 0.0) is None
    assert refused(limiter, "batch", "acme", 0.0) == ("tenant", 10)
    assert [refused(limiter, "batch", name, 0.0) for name in "xy"] == [None, None]


def test_the_rules_come_from_the_settings() -> None:
    """0 means no limit; a burst of 0 means one second's worth, at least one."""
    callers = {
        "batch": CallerSettings(requests_per_second=0.5),
        "bulk": CallerSettings(requests_per_second=3.0, burst=9),
        "zero": CallerSettings(requests_per_second=0.0, burst=9),
        "even": CallerSettings(requests_per_second=4.0),
        "none": CallerSettings(),
    }
    rules = RateRules.of(LimitsSettings(requests_per_second=2.5), callers)
    own = {"batch": Rate(0.5, 1), "bulk": Rate(3.0, 9), "even": Rate(4.0, 4)}
    assert rules == RateRules(Rate(2.5, 3), own)
    assert RateRules.of(LimitsSettings(), {}).of_request("batch", "acme") == []


def test_new_rules_hold_at_once_and_buckets_are_kept() -> None:
    """A reload changes limits without granting everyone a fresh burst."""
    limiter = rates(Rate(1.0, 1))
    assert refused(limiter, "c", "acme", 0.0) is None
    limiter.rules = RateRules(Rate(2.0, 1), {})
    assert refused(limiter, "c", "acme", 0.5) == ("tenant", 1)
    assert refused(limiter, "c", "acme", 1.0) is None
    limiter.rules = RateRules(UNLIMITED, {})
    assert [refused(limiter, "c", "acme", 1.0) for _ in range(5)] == [None] * 5


def test_full_buckets_are_forgotten() -> None:
    """Names that come once and not again do not fill the memory."""
    buckets, rate = TokenBuckets(), Rate(10.0, 5)
    for number in range(10_000):
        buckets.take(f"t{number}", rate, now=float(number))
        assert len(buckets) <= 1_000


def test_a_bucket_that_is_just_full_is_forgotten() -> None:
    """A bucket is swept out from the very moment at which it is full again."""
    buckets, rate = TokenBuckets(), Rate(10.0, 5)
    for number in range(1_000):
        buckets.take(f"t{number}", rate, now=0.0)
    buckets.take("next", rate, now=0.1)
    assert len(buckets) == 1


def test_memory_is_bounded_and_the_busiest_stay_limited() -> None:
    """A flood of new names pushes out the idle, never a name that is far past its limit."""
    buckets, rate = TokenBuckets(), Rate(0.001, 3)
    for _ in range(3):
        buckets.take("busy", rate, now=0.0)
    for number in range(MAX_BUCKETS - 1):
        buckets.take(f"t{number}", rate, now=0.0)
    assert len(buckets) == MAX_BUCKETS
    buckets.take("one more", rate, now=0.0)
    assert len(buckets) == MAX_BUCKETS // 2 + 1
    assert buckets.wait("busy", rate, now=0.0) > 0


@given(
    st.floats(0.1, 100),
    st.integers(1, 20),
    st.lists(st.floats(0, 5), min_size=1, max_size=80),
)
def test_a_bucket_lets_through_what_it_holds_and_no_more(
    per_second: float, burst: int, gaps: list[float]
) -> None:
    """In any stretch of time, at most the burst and what has come in since go through."""
    limiter, now, passed = rates(Rate(per_second, burst)), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if refused(limiter, "c", "acme", now) is None:
            passed.append(now)
    for index, start in enumerate(passed):
        for count, end in enumerate(passed[index:], 1):
            assert count <= burst + (end - start) * per_second + 1e-6
