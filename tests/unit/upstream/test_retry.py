"""Retries: which outcomes are worth another attempt, after how long, and how many in all."""

import time
from email.utils import formatdate
from typing import Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import AttemptFailure
from gateway.observe.families import RETRY_REASONS
from gateway.upstream.retry import (
    MAX_RETRY_AFTER,
    STALE,
    AttemptOutcome,
    Retries,
    Retry,
    RetryRules,
    Tried,
    backoff,
    decide,
    failed,
    replied,
    retry_after,
)

IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
METHODS = (*IDEMPOTENT, "POST", "PATCH")
RULES = RetryRules(2, frozenset(IDEMPOTENT))
NOW = 784111767.0  # ten seconds before the date in RFC 9110's examples
SECOND = [(b"retry-after", b"1")]


def reason(tried: Tried, rules: RetryRules = RULES) -> str:
    retry = decide(tried, rules, 0.5)
    return "" if retry is None else retry.reason


Kind = AttemptFailure | Literal["stale"]

FAILURES: list[tuple[Kind, bool, str, str]] = [
    # kind, sent, reason of a GET's retry, reason of a POST's
    ("dns", False, "connect", "connect"),
    ("connect", False, "connect", "connect"),
    ("connect_refused", False, "connect", "connect"),
    ("connect_timeout", False, "connect", "connect"),
    ("proxy", False, "connect", "connect"),
    ("tls", False, "connect", "connect"),
    ("tls", True, "", ""),
    (STALE, False, "stale", "stale"),
    (STALE, True, "stale", ""),
    ("closed", True, "", ""),
    ("read_timeout", True, "", ""),
    ("write_timeout", True, "", ""),
    ("truncated", True, "", ""),
    ("protocol", True, "", ""),
    ("invalid_status", True, "", ""),
]


@pytest.mark.parametrize(("kind", "sent", "get", "post"), FAILURES)
def test_a_failure_is_retried_by_its_kind(kind: Kind, sent: bool, get: str, post: str) -> None:
    """Failures to connect and stale connections are; a POST only if no byte of it was sent."""
    outcome = failed(kind, sent=sent)
    assert reason(Tried("GET", 1, True, outcome)) == get
    assert reason(Tried("POST", 1, True, outcome)) == post


def test_every_kind_of_failure_is_decided_on() -> None:
    """The table above knows all kinds that there are, and no reason but those of the metric."""
    assert {kind for kind, *_ in FAILURES} == {*get_args(AttemptFailure), STALE}
    told = {failed(kind, sent=sent).reason for kind, sent, *_ in FAILURES}
    told |= {replied(status, SECOND, NOW).reason for status in range(200, 600)}
    assert told == {"", *RETRY_REASONS}


STATUSES = [
    (200, b"1", ""),
    (401, b"1", ""),
    (404, b"1", ""),
    (408, b"1", ""),
    (409, b"1", ""),
    (425, b"1", ""),
    (500, b"1", ""),
    (501, b"1", ""),
    (502, b"", "status_502"),
    (503, b"", "status_503"),
    (504, b"", "status_504"),
    (503, b"10", "status_503"),
    (503, b"11", ""),
    (503, b"soon", "status_503"),
    (429, b"", ""),
    (429, b"soon", ""),
    (429, b"-1", ""),
    (429, b"0", "status_429"),
    (429, b"10", "status_429"),
    (429, b"11", ""),
    (429, b"Sun, 06 Nov 1994 08:49:37 GMT", "status_429"),
    (429, b"Sun, 06 Nov 1994 08:49:38 GMT", ""),
]


@pytest.mark.parametrize(("status", "value", "expected"), STATUSES)
def test_a_reply_is_retried_by_its_status(status: int, value: bytes, expected: str) -> None:
    """502, 503, 504, and 429 with a Retry-After; never beyond ten seconds."""
    headers = [(b"retry-after", value)] if value else []
    outcome = replied(status, [(b"date", b"x"), *headers], NOW)
    assert reason(Tried("GET", 1, True, outcome)) == expected
    assert reason(Tried("POST", 1, True, outcome)) == ""


@pytest.mark.parametrize("method", METHODS)
def test_only_idempotent_methods_are_sent_twice(method: str) -> None:
    """POST and PATCH are not, once a byte of them may have arrived."""
    outcome = replied(503, [], NOW)
    assert bool(reason(Tried(method, 1, True, outcome))) == (method in IDEMPOTENT)
    assert reason(Tried(method, 1, True, failed("connect", sent=False))) == "connect"


def test_the_operator_narrows_the_methods() -> None:
    """A method that `retry_methods` leaves out is never sent twice."""
    outcome = replied(503, [], NOW)
    assert reason(Tried("PUT", 1, True, outcome), RetryRules(2, frozenset({"GET"}))) == ""
    assert reason(Tried("GET", 1, True, outcome), RetryRules(2, frozenset({"GET"}))) == "status_503"


@pytest.mark.parametrize(("attempts", "expected"), [(1, True), (2, True), (3, False), (9, False)])
def test_attempts_run_out(attempts: int, expected: bool) -> None:
    """Two retries make three attempts."""
    tried = Tried("GET", attempts, True, replied(503, [], NOW))
    assert bool(reason(tried)) == expected
    assert reason(tried, RetryRules(0, frozenset(IDEMPOTENT))) == ""


def test_what_cannot_be_sent_again_is_not() -> None:
    """A body that is no longer at hand ends it, even if nothing of it was sent."""
    assert reason(Tried("PUT", 1, False, replied(503, [], NOW))) == ""
    assert reason(Tried("PUT", 1, False, failed("connect", sent=False))) == ""


def test_no_retry_waits_longer_than_the_caller() -> None:
    """The outcome that is here is better than a deadline that passes while waiting."""
    outcome = replied(503, SECOND, NOW)
    assert reason(Tried("GET", 1, True, outcome, patience=1.0)) == ""
    assert reason(Tried("GET", 1, True, outcome, patience=1.1)) == "status_503"
    at_most = decide(Tried("GET", 1, True, outcome), RULES, 0.5)
    assert at_most is not None
    assert reason(Tried("GET", 1, True, outcome, patience=at_most.after)) == ""


@pytest.mark.parametrize(
    ("attempts", "least", "most"),
    [(1, 0.025, 0.05), (2, 0.05, 0.1), (3, 0.1, 0.2), (5, 0.4, 0.8), (6, 0.5, 1), (11, 0.5, 1)],
)
def test_back_off_doubles_up_to_a_second(attempts: int, least: float, most: float) -> None:
    """From 50 ms on, of which chance takes up to a half."""
    assert backoff(attempts, 0.0) == pytest.approx(least)
    assert backoff(attempts, 1.0) == pytest.approx(most)


def test_a_wait_that_is_asked_for_is_kept() -> None:
    """Never sooner than Retry-After says, and not all at the same moment."""
    tried = Tried("GET", 1, True, replied(503, [*SECOND, (b"retry-after", b"3")], NOW))
    assert decide(tried, RULES, 0.0) == Retry(3.025, "status_503")
    assert decide(tried, RULES, 1.0) == Retry(3.05, "status_503")


def test_a_stale_connection_costs_no_wait() -> None:
    """That a connection was closed while idle is no reason to slow down."""
    assert decide(Tried("GET", 1, True, failed(STALE, sent=True)), RULES, 1.0) == Retry(0.0, STALE)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"120", 120.0),
        (b"9" * 400, float("inf")),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 10.0),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", 10.0),
        (b"Sun Nov  6 08:49:37 1994", 10.0),
        (b"Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        (b"Sun, 06 Nov 1994 08:49:37 CET", None),
        (b"Sun, 31 Feb 1994 08:49:37 GMT", None),
        (b"1.5", None),
        (b"+1", None),
        (b"\xb2", None),
        (b"1, 2", None),
        (b"", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: bytes, seconds: float | None) -> None:
    """RFC 9110 10.2.3, with the three forms of a date; anything else counts as absent."""
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Lima"])
def test_a_date_is_in_gmt(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the machine stands, it waits as long as Invopop asked for."""
    with monkeypatch.context() as there:
        there.setenv("TZ", zone)
        time.tzset()
        seconds = retry_after(b"Sun, 06 Nov 1994 08:49:37 GMT", NOW)
    time.tzset()
    assert seconds == 10.0


def test_a_429_that_names_no_time_was_an_answer() -> None:
    """Nothing says when to come back, so it stands; the request did arrive."""
    assert replied(429, [], NOW) == AttemptOutcome("", sent=True)


@given(st.binary(max_size=60))
def test_no_retry_after_breaks_anything(value: bytes) -> None:
    """Whatever Invopop sends is a number of seconds, or nothing."""
    seconds = retry_after(value, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000))
def test_dates_are_told_from_now(date: int, now: int) -> None:
    """A date ahead is waited for to the second; a past one not at all."""
    assert retry_after(formatdate(date, usegmt=True).encode(), now) == max(0, date - now)


outcomes = st.one_of(
    st.builds(failed, st.sampled_from([kind for kind, *_ in FAILURES]), sent=st.booleans()),
    st.builds(
        replied,
        st.integers(200, 599),
        st.lists(st.tuples(st.just(b"retry-after"), st.integers(0, 20).map(lambda n: b"%d" % n))),
        st.just(NOW),
    ),
)
tries = st.builds(Tried, st.sampled_from(METHODS), st.integers(1, 12), st.booleans(), outcomes)


@given(tries, st.integers(0, 10), st.floats(0, 1))
def test_the_rules_that_nothing_overrides(tried: Tried, most: int, chance: float) -> None:
    """No sent POST, no lost body, not one attempt too many, no wait beyond the bounds."""
    retry = decide(tried, RetryRules(most, frozenset(IDEMPOTENT)), chance)
    if retry is None:
        return
    assert tried.replayable
    assert tried.attempts <= most
    assert not tried.outcome.sent or tried.method in IDEMPOTENT
    assert tried.outcome.retry_after <= retry.after + MAX_RETRY_AFTER * (retry.reason == STALE)
    assert 0 <= retry.after <= MAX_RETRY_AFTER + 1
    assert retry.reason in RETRY_REASONS


def test_the_budget_is_asked_last() -> None:
    """A retry that the rules forbid takes nothing from the budget; one beyond it is not made."""
    retries = Retries(RULES, lambda: 0.0)
    for _ in range(50):
        assert retries.next(Tried("POST", 1, True, replied(503, [], NOW)), 0.0) is None
    tried = Tried("GET", 1, True, replied(503, [], NOW))
    assert [retries.next(tried, 0.0) is not None for _ in range(11)] == [True] * 10 + [False]
    for _ in range(55):
        retries.request(0.0)
    assert retries.next(tried, 0.0) == Retry(0.025, "status_503")


def test_stale_connections_are_outside_the_budget() -> None:
    """Case 115: an upstream that closes whatever is idle costs no GET, however many there are."""
    retries = Retries(RULES, lambda: 0.0)
    stale = Tried("GET", 1, True, failed(STALE, sent=True))
    assert all(retries.next(stale, 0.0) for _ in range(100))
    assert retries.next(Tried("GET", 1, True, replied(503, [], NOW)), 0.0)


def test_an_outcome_that_nothing_mends_is_final() -> None:
    """No reason, no retry."""
    assert decide(Tried("GET", 1, True, AttemptOutcome("", sent=False)), RULES, 0.0) is None
