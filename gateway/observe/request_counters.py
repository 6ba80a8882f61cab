"""The counters that every exchange counts in: plain integers, made into metrics at each scrape.

One look-up an exchange. Every request pays for these six families: the library's own counters, with
a lock each, would take a twelfth of its time. All other families are the library's.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from gateway.model import Exchange
from gateway.observe.families import FAMILIES, OWN_SECONDS, SECONDS

PREFIX: Final = "invopop_gateway_"
OTHER: Final = "other"
COUNTED_HERE: Final = frozenset(
    {
        "requests_total",
        "request_duration_seconds",
        "upstream_duration_seconds",
        "overhead_seconds",
        "request_bytes_total",
        "response_bytes_total",
    }
)

Key = tuple[str, str, str, str, int]  # tenant, caller, route, method, status


class Histogram:
    """A histogram: how many values fell up to each bound, and the sum of all."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        # The last value of each bucket that has a trace: its id, itself, its time.
        self._exemplars: dict[int, tuple[str, float, float]] = {}
        self._sum = 0.0

    def add(self, value: float, trace_id: str) -> None:
        """Counts one value; `trace_id`, if there is one, becomes its bucket's exemplar."""
        index = bisect_left(self._bounds, value)
        self._counts[index] += 1
        self._sum += value
        if trace_id:
            self._exemplars[index] = (trace_id, value, time.time())

    def into(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """Adds what was counted, cumulated as Prometheus wants it, to a family."""
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        total = 0
        for index, count in enumerate(list(self._counts)):
            total += count
            bound = "+Inf" if index == len(self._bounds) else repr(self._bounds[index])
            last = self._exemplars.get(index)
            if last is None:
                buckets.append((bound, total))
            else:
                exemplar = Exemplar({"trace_id": last[0]}, last[1], last[2])
                buckets.append((bound, total, exemplar))
        family.add_metric(labels, buckets, self._sum)


class Durations:
    """The two histograms of one route and method."""

    __slots__ = ("total", "upstream")

    def __init__(self) -> None:
        self.total = Histogram(SECONDS)
        self.upstream = Histogram(SECONDS)


class RequestCounter:
    """One series of `requests_total`, and the bytes and seconds of its exchanges."""

    __slots__ = ("bytes_in", "bytes_out", "count", "durations")

    def __init__(self, durations: Durations) -> None:
        self.count = self.bytes_in = self.bytes_out = 0
        self.durations = durations


class RequestCounters(Collector):
    """All series. Past `max_series` of them, new tenants and callers share `other`."""

    def __init__(self, max_series: int) -> None:
        self._max_series = max_series
        self._counters: dict[Key, RequestCounter] = {}
        self._durations: dict[tuple[str, str], Durations] = {}
        self._own = Histogram(OWN_SECONDS)

    def count(self, x: Exchange) -> None:
        """Counts an exchange that has ended."""
        tenant = "" if x.error == "operation_denied" else x.tenant  # it was not let in
        key = (tenant, x.caller, x.route, x.method, x.status)
        counter = self._counters.get(key) or self._add(key)
        counter.count += 1
        counter.bytes_in += x.bytes_in
        counter.bytes_out += x.bytes_out
        counter.durations.total.add(x.seconds, x.trace_id)
        if x.upstream_seconds is not None:
            counter.durations.upstream.add(x.upstream_seconds, x.trace_id)
            self._own.add(x.overhead_seconds, x.trace_id)

    def _add(self, key: Key) -> RequestCounter:
        tenant, caller, route, method, status = key
        if len(self._counters) >= self._max_series:
            key = (tenant and OTHER, caller and OTHER, route, method, status)
        durations = self._durations.setdefault((route, method), Durations())
        return self._counters.setdefault(key, RequestCounter(durations))

    def collect(self) -> Iterable[Metric]:
        """The six families as they stand; called in the thread that scrapes."""
        counters, durations = list(self._counters.items()), list(self._durations.items())
        requests = _counter("requests_total")
        received, sent = _counter("request_bytes_total"), _counter("response_bytes_total")
        moved: dict[str, list[int]] = {}
        for (*names, status), counter in counters:
            requests.add_metric([*map(str, names), str(status)], counter.count)
            if tenant := str(names[0]):
                into = moved.setdefault(tenant, [0, 0])
                into[0] += counter.bytes_in
                into[1] += counter.bytes_out
        for tenant, (bytes_in, bytes_out) in moved.items():
            received.add_metric([tenant], bytes_in)
            sent.add_metric([tenant], bytes_out)
        total, upstream = (
            _histogram("request_duration_seconds"),
            _histogram("upstream_duration_seconds"),
        )
        for labels, histograms in durations:
            histograms.total.into(total, labels)
            histograms.upstream.into(upstream, labels)
        own = _histogram("overhead_seconds")
        self._own.into(own, ())
        return (requests, total, upstream, own, received, sent)


def _counter(name: str) -> CounterMetricFamily:
    family = next(f for f in FAMILIES if f.name == name)
    return CounterMetricFamily(PREFIX + name, family.meaning, labels=family.labels)


def _histogram(name: str) -> HistogramMetricFamily:
    family = next(f for f in FAMILIES if f.name == name)
    return HistogramMetricFamily(PREFIX + name, family.meaning, labels=family.labels)
