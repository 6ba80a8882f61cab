"""The counters that every exchange counts in: plain integers, written as text at each scrape.

One look-up an exchange. Every request pays for these six families: the library's own counters, with
a lock each, would take a twelfth of its time.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from gateway.events import ExchangeEnded
from gateway.model import Exchange
from gateway.observe.families import OWN_SECONDS, SECONDS, Family
from gateway.observe.series import (
    OTHER,
    PREFIX,
    counters_text,
    escaped,
    family_of,
    heading,
    label_text,
    number,
)

Key = tuple[str, str, str, str, int]  # tenant, caller, route, method, status

_REQUESTS: Final = family_of("requests_total")
_SHARED: Final = ("route", "method", "status")  # the labels between `caller` and `tenant`
_TOTAL: Final = family_of("request_duration_seconds")
_UPSTREAM: Final = family_of("upstream_duration_seconds")
_OWN: Final = family_of("overhead_seconds")
_RECEIVED: Final = family_of("request_bytes_total")
_SENT: Final = family_of("response_bytes_total")
COUNTED_HERE: Final = tuple(
    family.name for family in (_REQUESTS, _TOTAL, _UPSTREAM, _OWN, _RECEIVED, _SENT)
)


class Histogram:
    """A histogram: how many values fell up to each bound, and the sum of all."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        # The last value of each bucket that has a trace: its id, itself, its time.
        self._exemplars: dict[int, tuple[str, float, float]] = {}
        self._sum = 0.0

    def add(self, value: float, trace_id: str, now: float) -> None:
        """Counts one value; `trace_id`, if there is one, becomes its bucket's exemplar.

        `now` is in seconds since 1970, and used only then.
        """
        index = bisect_left(self._bounds, value)
        self._counts[index] += 1
        self._sum += value
        if trace_id:
            self._exemplars[index] = (trace_id, value, now)

    def lines(self, family: Family, values: Sequence[str], openmetrics: bool) -> Iterator[str]:
        """Its samples, cumulated as Prometheus wants it; exemplars are OpenMetrics'."""
        name, names = PREFIX + family.name, (*family.labels, "le")
        total = 0
        for index, count in enumerate(list(self._counts)):
            total += count
            bound = "+Inf" if index == len(self._bounds) else repr(self._bounds[index])
            labels = label_text(names, (*values, bound))
            last = self._exemplars.get(index) if openmetrics else None
            exemplar = "" if last is None else _exemplar(*last)
            yield f"{name}_bucket{labels} {number(total)}{exemplar}\n"
        labels = label_text(family.labels, values)
        yield f"{name}_count{labels} {number(total)}\n"
        yield f"{name}_sum{labels} {number(self._sum)}\n"


def _exemplar(trace_id: str, value: float, at: float) -> str:
    return f' # {{trace_id="{trace_id}"}} {number(value)} {at}'


class Durations:
    """The two histograms of one route and method."""

    __slots__ = ("total", "upstream")

    def __init__(self) -> None:
        self.total = Histogram(SECONDS)
        self.upstream = Histogram(SECONDS)


class RequestCounter:
    """One series of `requests_total`, with the body bytes of its exchanges.

    `operation` are the labels that many series share, as text; `durations` is where seconds count.
    """

    __slots__ = ("count", "durations", "operation", "received", "sent")

    def __init__(self, operation: str, durations: Durations) -> None:
        self.count = self.received = self.sent = 0
        self.operation = operation
        self.durations = durations


class RequestCounters:
    """All series. Past `max_series` of them, new tenants and callers share `other`.

    `special` also gets exchanges that did not go well, or were let through though denied.
    """

    def __init__(self, max_series: int, special: Callable[[Exchange], None]) -> None:
        self._max_series = max_series
        self._special = special
        self._counters: dict[Key, RequestCounter] = {}
        self._durations: dict[tuple[str, str], Durations] = {}
        self._operations: dict[str, str] = {}  # texts, each of which many counters share
        self._own = Histogram(OWN_SECONDS)

    def ended(self, event: ExchangeEnded) -> None:
        """Counts an exchange that has ended."""
        x = event.exchange
        tenant = "" if x.error == "operation_denied" else x.tenant  # it was not let in
        key = (tenant, x.caller, x.route, x.method, x.status)
        counter = self._counters.get(key) or self._add(key)
        counter.count += 1
        counter.received += x.bytes_in
        counter.sent += x.bytes_out
        trace_id = x.trace_id
        now = time.time() if trace_id else 0.0
        counter.durations.total.add(x.seconds, trace_id, now)
        if x.upstream_seconds is not None:
            counter.durations.upstream.add(x.upstream_seconds, trace_id, now)
            self._own.add(x.overhead_seconds, trace_id, now)
        if x.status >= 400 or x.error or x.cause or x.would_deny:
            self._special(x)

    def _add(self, key: Key) -> RequestCounter:
        tenant, caller, route, method, status = key
        if len(self._counters) >= self._max_series:
            tenant, caller = tenant and OTHER, caller and OTHER
            key = (tenant, caller, route, method, status)
            if (shared := self._counters.get(key)) is not None:
                return shared
        operation = label_text(_SHARED, (route, method, str(status)))[1:][:-1]
        operation = self._operations.setdefault(operation, operation)
        durations = self._durations.setdefault((route, method), Durations())
        counter = self._counters[key] = RequestCounter(operation, durations)
        return counter

    def text(self, openmetrics: bool) -> Iterator[str]:
        """The six families as they stand, in pieces; called in the thread that scrapes."""
        durations = list(self._durations.items())
        requests = list(self._counters.items())
        counts = ((_of_request(key, one.operation), one.count) for key, one in requests)
        yield from counters_text(_REQUESTS, counts, openmetrics)
        total = [(labels, one.total) for labels, one in durations]
        upstream = [(labels, one.upstream) for labels, one in durations]
        yield from _histograms_text(_TOTAL, total, openmetrics)
        yield from _histograms_text(_UPSTREAM, upstream, openmetrics)
        yield from _histograms_text(_OWN, [((), self._own)], openmetrics)
        received, sent = _by_tenant(requests)
        yield from counters_text(_RECEIVED, received, openmetrics)
        yield from counters_text(_SENT, sent, openmetrics)


def _of_request(key: Key, operation: str) -> str:
    """The label set of `requests_total`, in the alphabet's order; what differs is written here.

    Kept for each tenant and caller, it would take most of the memory of their metrics.
    """
    return f'{{caller="{escaped(key[1])}",{operation},tenant="{escaped(key[0])}"}}'


_Counts = Iterator[tuple[str, int]]


def _by_tenant(requests: Iterable[tuple[Key, RequestCounter]]) -> tuple[_Counts, _Counts]:
    """The bytes received and sent for each tenant; what was not let in has none."""
    received: dict[str, int] = {}
    sent: dict[str, int] = {}
    for (tenant, *_), one in requests:
        if tenant:
            received[tenant] = received.get(tenant, 0) + one.received
            sent[tenant] = sent.get(tenant, 0) + one.sent
    return _labelled(received), _labelled(sent)


def _labelled(counts: dict[str, int]) -> _Counts:
    return ((f'{{tenant="{escaped(tenant)}"}}', count) for tenant, count in counts.items())


def _histograms_text(
    family: Family, histograms: Iterable[tuple[Sequence[str], Histogram]], openmetrics: bool
) -> Iterator[str]:
    yield heading(family, openmetrics)
    for values, histogram in histograms:
        yield from histogram.lines(family, values, openmetrics)
