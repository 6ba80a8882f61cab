"""The last quarter of an hour, and the last failures."""

from typing import Any

import pytest

from gateway.admin.failure import Failure
from gateway.admin.history import (
    BOUNDS,
    FAILURES,
    STEP,
    STEPS,
    History,
    quantile,
    sum_of,
)
from gateway.events import Events, ExchangeEnded, UpstreamFailed
from tests.support.exchanges import exchange_of

START = 5_000.0  # the beginning of a step


class Story:
    """A history, told of exchanges that end at chosen times after `START`."""

    def __init__(self) -> None:
        self.history = History()
        self.events = Events()
        self.history.subscribe(self.events)

    def ended(self, at: float, seconds: float = 0.001, **told: Any) -> None:
        """An exchange that was forwarded, unless `told` otherwise."""
        x = exchange_of(START + at - seconds, status=200, upstream_seconds=seconds)
        for name, value in {"seconds": seconds, **told}.items():
            setattr(x, name, value)
        self.events.emit(ExchangeEnded(x))

    def failures(self) -> list[Failure]:
        """Those kept, oldest first."""
        return list(self.history.failures)


def test_exchanges_are_counted_in_the_step_they_ended_in() -> None:
    """Steps of ten seconds, oldest first, the one that goes on last; empty ones are there too."""
    story = Story()
    for at in (1.0, 9.9, 10.1, 31.0):
        story.ended(at)
    counts = [step.requests for step in story.history.steps(START + 35)]
    assert counts[-4:] == [2, 1, 0, 1]
    assert len(counts) == STEPS + 1
    assert sum(counts) == 4


def test_what_is_older_than_a_quarter_of_an_hour_is_gone() -> None:
    """A quiet gateway does not show yesterday's traffic, and a ring's slot is used anew."""
    story = Story()
    story.ended(1.0)
    assert sum_of(story.history.steps(START + STEP * (STEPS + 1))).requests == 0
    story.ended(1.0 + STEP * (STEPS + 1))
    assert sum_of(story.history.steps(START + STEP * (STEPS + 1))).requests == 1


@pytest.mark.parametrize(
    ("told", "refused", "failed"),
    [
        ({}, 0, 0),
        ({"status": 404}, 0, 0),  # Invopop's own: its caller's business
        ({"status": 401, "error": "unauthenticated"}, 1, 0),
        ({"status": 503, "error": "circuit_open"}, 0, 1),
        ({"status": 503}, 0, 1),
        ({"status": 499, "cause": "caller_left"}, 0, 1),
        ({"status": 200, "error": "upstream_protocol_error"}, 0, 1),  # broken off on its way
        ({"status": 200, "cause": "drain_timeout"}, 0, 1),
    ],
)
def test_refused_and_failed(told: dict[str, Any], refused: int, failed: int) -> None:
    """A refusal is the gateway's own 4xx; a failure is whatever kept an answer from its caller."""
    story = Story()
    story.ended(1.0, caller="billing", tenant="acme", **told)
    step, usage = story.history.steps(START + 5)[-1], story.history.usage["billing"]
    assert (step.requests, step.refused, step.failed) == (1, refused, failed)
    assert (usage.requests, usage.refused, usage.failed) == (1, refused, failed)
    assert len(story.failures()) == refused + failed
    assert story.history.tenants_failed.get("acme", 0) == failed


def test_the_last_failures_are_kept_whatever_comes() -> None:
    """Twenty, the newest last, each with its request id."""
    story = Story()
    for number in range(100):
        story.ended(1.0, status=502, error="key_rejected", request_id=f"r{number}")
    assert [one.request_id for one in story.failures()] == [
        f"r{number}" for number in range(100 - FAILURES, 100)
    ]


def test_a_failed_attempt_is_the_cause() -> None:
    """What went wrong on the way to Invopop is told with the exchange that it ended."""
    story = Story()
    story.events.emit(UpstreamFailed("dns", "r1"))
    story.events.emit(UpstreamFailed("tls", "r2"))
    story.ended(1.0, status=502, error="upstream_unreachable", request_id="r1")
    story.ended(1.0, status=502, error="upstream_unreachable", request_id="r3")
    assert [one.cause for one in story.failures()] == ["dns", ""]


def test_failed_attempts_that_ended_well_do_not_pile_up() -> None:
    """Retries that succeed leave nothing that grows."""
    story = Story()
    for number in range(10_000):
        story.events.emit(UpstreamFailed("connect", f"r{number}"))
    assert len(story.history._kinds) <= 256


def test_names_do_not_pile_up() -> None:
    """Callers and tenants come and go with reloads; what is kept of them is bounded."""
    story = Story()
    for number in range(10_050):
        story.ended(1.0, caller=f"c{number}", tenant=f"t{number}", status=503)
    assert len(story.history.usage) <= 10_000
    assert len(story.history.tenants_failed) <= 10_000


def test_only_what_was_forwarded_has_a_latency() -> None:
    """Refusals take no time at all: they would hide what callers wait for."""
    story = Story()
    story.ended(1.0, seconds=0.2)
    for _ in range(99):
        story.ended(1.0, status=401, error="unauthenticated", upstream_seconds=None)
    found = quantile(story.history.steps(START + 5)[-1].latency, 0.5)
    assert found is not None
    assert 0.15 <= found <= 0.2


def test_quantiles_lie_within_their_bucket() -> None:
    """The median and the 95th percentile of known latencies, at most a bucket off."""
    story = Story()
    for number in range(1, 101):
        story.ended(1.0, seconds=number / 1000)
    latency = story.history.steps(START + 5)[-1].latency
    half, most = quantile(latency, 0.5), quantile(latency, 0.95)
    assert half == pytest.approx(0.050, rel=0.1)
    assert most == pytest.approx(0.095, rel=0.1)
    assert quantile([0] * (len(BOUNDS) + 1), 0.5) is None


def test_an_endless_wait_is_told_as_the_last_bound() -> None:
    """What takes longer than any bucket is not more than is known."""
    story = Story()
    story.ended(1.0, seconds=500.0)
    assert quantile(story.history.steps(START + 5)[-1].latency, 0.5) == BOUNDS[-1]
