"""What happened lately: traffic by steps of ten seconds, the last failures, the last of each event.

An exchange that went well costs a few integer additions, and nothing here grows with traffic; every
name is configured or from a closed list.
"""

import time
from bisect import bisect_left
from collections import Counter, deque
from typing import Final, NamedTuple

from gateway.admin.advice import advice
from gateway.admin.failure import Failure
from gateway.errors import UpstreamErrorKind
from gateway.events import (
    CircuitChanged,
    ConfigReloaded,
    Events,
    ExchangeEnded,
    JwksRefreshed,
    UpstreamFailed,
)
from gateway.invopop.table import FILE_OPERATIONS
from gateway.model import Exchange

STEP: Final = 10.0  # seconds
STEPS: Final = 90  # complete ones, beside the one in progress
FAILURES: Final = 20
# Bounds of the latency buckets, seconds: a quantile is at most a third off. Of no fixed length,
# because mypyc makes a tuple of fixed length anew wherever it is passed.
BOUNDS: Final[tuple[float, ...]] = (
    *(0.0005, 0.00075, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03),
    *(0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.5),
    *(10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 75.0),
)
_MOST_NAMES: Final = 10_000  # callers, and tenants with failures, that are counted one by one
_MOST_KINDS: Final = 256  # failed attempts whose exchanges have not ended yet
_MOST_ISSUERS: Final = 1_000
_OF_FILES: Final = frozenset(operation.name for operation in FILE_OPERATIONS)


class Usage:
    """What one caller did since the start; `last` is seconds on `time.perf_counter`'s clock."""

    __slots__ = ("failed", "last", "refused", "requests")

    def __init__(self) -> None:
        self.requests = self.refused = self.failed = 0
        self.last = 0.0


class Interval:
    """What ended within ten seconds; `number` says in which, counted from the clock's zero.

    `refused`: answered here with a 4xx. `failed`: any 5xx, broken off, or the caller left.
    `latency` (by bucket) and `own` (the gateway's share, seconds in all) are of what was forwarded.
    """

    __slots__ = ("failed", "latency", "number", "own", "refused", "requests")

    def __init__(self, number: int = -1) -> None:
        self.number = number
        self.requests = self.refused = self.failed = 0
        self.own = 0.0
        self.latency = [0] * (len(BOUNDS) + 1)

    def add(self, other: "Interval") -> None:
        """Adds another one's exchanges."""
        self.requests += other.requests
        self.refused += other.refused
        self.failed += other.failed
        self.own += other.own
        self.latency = [a + b for a, b in zip(self.latency, other.latency, strict=True)]


def quantile(latency: list[int], share: float) -> float | None:
    """The seconds within which that share of exchanges ended, between the bucket's bounds."""
    total = sum(latency)
    if not total:
        return None
    wanted, below = share * total, 0
    for index, count in enumerate(latency):
        if count and below + count >= wanted:
            if index == len(BOUNDS):
                return BOUNDS[-1]
            lower = BOUNDS[index - 1] if index else 0.0
            return lower + (BOUNDS[index] - lower) * (wanted - below) / count
        below += count
    return BOUNDS[-1]


def sum_of(steps: list[Interval]) -> Interval:
    """The sum of several."""
    total = Interval()
    for step in steps:
        total.add(step)
    return total


class History:
    """Counts exchanges as they end, on the event loop; `usage` is by the callers' names.

    The name "" stands for requests of unknown callers.
    """

    def __init__(self) -> None:
        self.usage: dict[str, Usage] = {}
        self.tenants_failed: dict[str, int] = {}
        self.failures: deque[Failure] = deque(maxlen=FAILURES)
        self._ring = [Interval() for _ in range(STEPS + 1)]
        self._kinds: dict[str, UpstreamErrorKind] = {}

    def subscribe(self, events: Events) -> None:
        """Counts from now on whatever ends."""
        events.subscribe(ExchangeEnded, self._ended)
        events.subscribe(UpstreamFailed, self._attempt_failed)

    def steps(self, now: float) -> list[Interval]:
        """The complete steps, oldest first, then the one in progress at `now` (perf_counter)."""
        last = int(now / STEP)
        numbers = range(last - STEPS, last + 1)
        held = {step.number: step for step in self._ring}
        return [held.get(number) or Interval(number) for number in numbers]

    def _ended(self, event: ExchangeEnded) -> None:
        x = event.exchange
        ended = x.started + x.seconds
        number = int(ended / STEP)
        step = self._ring[number % (STEPS + 1)]
        if step.number != number:
            step = self._ring[number % (STEPS + 1)] = Interval(number)
        step.requests += 1
        if x.upstream_seconds is not None:
            step.latency[bisect_left(BOUNDS, x.seconds)] += 1
            step.own += x.overhead_seconds
        usage = self.usage.get(x.caller) or self._new_usage(x.caller)
        usage.requests += 1
        usage.last = ended
        if x.error or x.cause or x.status >= 500:
            self._went_wrong(x, step, usage)

    def _new_usage(self, caller: str) -> Usage:
        usage = Usage()
        if len(self.usage) < _MOST_NAMES:
            self.usage[caller] = usage
        return usage

    def _went_wrong(self, x: Exchange, step: Interval, usage: Usage) -> None:
        if x.error and 400 <= x.status < 500:
            step.refused += 1
            usage.refused += 1
        else:
            step.failed += 1
            usage.failed += 1
            if x.tenant and (x.tenant in self.tenants_failed or self._has_room()):
                self.tenants_failed[x.tenant] = self.tenants_failed.get(x.tenant, 0) + 1
        kind = self._kinds.pop(x.request_id, "")
        cause = x.cause or kind
        self.failures.append(
            Failure(
                at=time.time(),
                request_id=x.request_id,
                caller=x.caller,
                tenant=x.tenant,
                method=x.method,
                route=x.route,
                status=x.status,
                error=x.error,
                cause=cause,
                advice=advice(x.status, x.error, cause, file_host=x.operation in _OF_FILES),
            )
        )

    def _has_room(self) -> bool:
        return len(self.tenants_failed) < _MOST_NAMES

    def _attempt_failed(self, event: UpstreamFailed) -> None:
        """Keeps the kind until its exchange ends, as the cause if that fails."""
        if len(self._kinds) >= _MOST_KINDS:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[event.request_id] = event.kind


class Reload(NamedTuple):
    """A reload that was tried at `at` (seconds since the epoch)."""

    at: float
    event: ConfigReloaded


class Refresh(NamedTuple):
    """A fetch of an issuer's keys; `reason` says why it failed, "" if it did not."""

    at: float
    reason: str


class LastCircuitChange(NamedTuple):
    """When the circuit last opened or closed, and why."""

    at: float
    reason: str


class LastAttempt(NamedTuple):
    """The last attempt at Invopop that failed."""

    at: float
    kind: UpstreamErrorKind


class RecentEvents:
    """What happened last; times are seconds since the epoch."""

    def __init__(self) -> None:
        self.started_at = time.time()
        self.in_force_since = self.started_at
        self.reload: Reload | None = None
        self.refreshes: dict[str, Refresh] = {}
        self.circuit: LastCircuitChange | None = None
        self.failed_attempts: Counter[UpstreamErrorKind] = Counter()
        self.last_failed_attempt: LastAttempt | None = None

    def subscribe(self, events: Events) -> None:
        """Remembers from now on."""
        events.subscribe(ConfigReloaded, self._reloaded)
        events.subscribe(JwksRefreshed, self._refreshed)
        events.subscribe(CircuitChanged, self._circuit_changed)
        events.subscribe(UpstreamFailed, self._attempt_failed)

    def _reloaded(self, event: ConfigReloaded) -> None:
        self.reload = Reload(time.time(), event)
        if event.outcome == "success":
            self.in_force_since = self.reload.at

    def _refreshed(self, event: JwksRefreshed) -> None:
        if event.issuer in self.refreshes or len(self.refreshes) < _MOST_ISSUERS:
            reason = event.reason if event.outcome == "failure" else ""
            self.refreshes[event.issuer] = Refresh(time.time(), reason)

    def _circuit_changed(self, event: CircuitChanged) -> None:
        if not event.file_host:
            self.circuit = LastCircuitChange(time.time(), event.reason)

    def _attempt_failed(self, event: UpstreamFailed) -> None:
        self.failed_attempts[event.kind] += 1
        self.last_failed_attempt = LastAttempt(time.time(), event.kind)
