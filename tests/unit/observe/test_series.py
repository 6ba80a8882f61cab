"""What a scrape shows is what prometheus-client would, byte for byte."""

import re
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from gateway.events import Events, ExchangeEnded, KeyRejected
from gateway.model import Exchange
from gateway.observe.families import OWN_SECONDS, SECONDS, Family
from gateway.observe.metrics import PrometheusMetrics
from gateway.observe.series import PREFIX, family_of
from tests.support.exchanges import exchange_of

ACCEPTS = ("", "application/openmetrics-text; version=1.0.0")
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    ["acme", 'a"b', "a\\", "a\nb", "\\n", "ü", "other", ""]
)
COUNTS = st.integers(0, 10**7) | st.integers(0, 2**70) | st.sampled_from([10**6, 10**10, 999_999])


class Library(Collector):
    """The same exchanges and keys in the library's own objects; each exchange is a trace's."""

    def __init__(self, exchanges: list[Exchange], keys: list[tuple[str, str, float]]) -> None:
        self._exchanges = exchanges
        self._keys = keys

    def collect(self) -> list[Metric]:
        """In the order of a scrape."""
        ended = self._exchanges
        requests = Counter((x.tenant, x.caller, x.route, x.method, str(x.status)) for x in ended)
        received, sent = Counter[tuple[str]](), Counter[tuple[str]]()
        for x in ended:
            if x.tenant:
                received[x.tenant,] += x.bytes_in
                sent[x.tenant,] += x.bytes_out
        denied = Counter((x.caller, x.route) for x in ended)
        rejected = Counter((x.tenant, "key") for x in ended)
        total, upstream = defaultdict(list), defaultdict(list)
        for x in ended:
            total[x.route, x.method].append((x.seconds, x.trace_id))
            upstream[x.route, x.method].append((x.upstream_seconds, x.trace_id))
        own = {(): [(x.overhead_seconds, x.trace_id) for x in ended]}
        return [
            counters("requests_total", requests),
            histograms("request_duration_seconds", SECONDS, total),
            histograms("upstream_duration_seconds", SECONDS, upstream),
            histograms("overhead_seconds", OWN_SECONDS, own),
            counters("request_bytes_total", received),
            counters("response_bytes_total", sent),
            counters("would_deny_total", denied),
            counters("key_rejected_total", rejected),
            gauges("key_expiry_timestamp_seconds", self._keys),
            gauges("key_issued", self._keys[:1]),
        ]


def named(name: str) -> tuple[Family, Any]:
    """A row of the table, and the arguments of the library's families."""
    family = family_of(name)
    return family, {"name": PREFIX + name, "documentation": family.meaning}


def counters(name: str, series: Counter[Any]) -> Metric:
    """Each series once it has been counted at all, also with nothing."""
    family, arguments = named(name)
    metric = CounterMetricFamily(**arguments, labels=family.labels)
    for labels, count in series.items():
        metric.add_metric(labels, count)
    return metric


def gauges(name: str, keys: list[tuple[str, str, float]]) -> Metric:
    """One for each key."""
    family, arguments = named(name)
    metric = GaugeMetricFamily(**arguments, labels=family.labels)
    for tenant, slot, value in keys:
        metric.add_metric((tenant, slot), value)
    return metric


def histograms(name: str, bounds: tuple[float, ...], series: Any) -> Metric:
    """With the last trace of each bucket."""
    family, arguments = named(name)
    metric = HistogramMetricFamily(**arguments, labels=family.labels)
    for labels, values in series.items():
        buckets: list[Any] = []
        below = float("-inf")
        for bound in (*bounds, float("inf")):
            label = "+Inf" if bound == float("inf") else repr(bound)
            within = [Exemplar({"trace_id": t}, v, 7.5) for v, t in values if below < v <= bound]
            count = sum(v <= bound for v, _ in values)
            traced = [one for one in within if one.labels["trace_id"]]
            buckets.append((label, count, *traced[-1:]))
            below = bound
        metric.add_metric(labels, buckets, sum(v for v, _ in values))
    return metric


EXCHANGES: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    tenant=NAMES,
    caller=NAMES,
    route=st.sampled_from(["/silo/v1/entries/{id}", "other"]),
    method=st.sampled_from(["GET", "OTHER"]),
    status=st.integers(100, 599),
    bytes_in=COUNTS,
    bytes_out=COUNTS,
    seconds=st.floats(0, 1e9) | st.sampled_from(SECONDS),
    upstream_seconds=st.floats(0, 100) | st.sampled_from(SECONDS),
    trace_id=st.sampled_from(["", "ab" * 16]),
)
KEYS = st.lists(st.tuples(NAMES, st.sampled_from(["key", "previous"]), st.floats()), max_size=4)


@pytest.mark.parametrize("accept", ACCEPTS)
@given(st.lists(EXCHANGES, max_size=6), KEYS)
def test_a_scrape_is_what_the_library_would_show(
    accept: str, ended: list[dict[str, Any]], keys: list[tuple[str, str, float]]
) -> None:
    """All families of tenants and callers, in both formats: names, escapes, numbers, exemplars."""
    keys = list({(tenant, slot): (tenant, slot, at) for tenant, slot, at in keys}.values())
    metrics, events = PrometheusMetrics(100), Events()
    metrics.subscribe(events)
    metrics.watch_expiries(lambda: keys, lambda: keys[:1])
    exchanges = [exchange_of(0.0, **fields, would_deny=True) for fields in ended]
    for x in exchanges:
        events.emit(ExchangeEnded(x))
        events.emit(KeyRejected(x.tenant, "key", "0123456789ab"))
    registry = CollectorRegistry()
    registry.register(Library(exchanges, keys))
    shown = metrics.exposition(accept)[0].decode()
    library = openmetrics if accept else generate_latest
    expected = library(registry).decode().removesuffix("# EOF\n")
    stamp = re.compile(r'(?m)(?<=# \{trace_id="abababababababababababababababab"\} )(\S+) .*$')
    assert stamp.sub(r"\1", shown)[: len(stamp.sub(r"\1", expected))] == stamp.sub(r"\1", expected)


def test_what_the_vault_does_not_name_any_more_is_gone() -> None:
    """A key's series ends with the key, and a changed value replaces the one before."""
    metrics = PrometheusMetrics(10)
    keys = [("acme", "key", 5.0), ("b", "key", 6.0)]
    metrics.watch_expiries(lambda: keys)
    metrics.exposition("")
    keys[:] = [("b", "key", 8.0)]
    shown = metrics.exposition("")[0].decode()
    lines = [line for line in shown.splitlines() if line.startswith(PREFIX + "key_expiry")]
    assert lines == [f'{PREFIX}key_expiry_timestamp_seconds{{slot="key",tenant="b"}} 8.0']


def test_a_scrape_formats_only_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Label sets are not sorted and joined anew at each scrape: that would be felt."""
    metrics, events = PrometheusMetrics(1000), Events()
    metrics.subscribe(events)
    keys = [(f"t{n}", "key", 1.0) for n in range(500)]
    metrics.watch_expiries(lambda: keys)
    for tenant, _, _ in keys:
        events.emit(ExchangeEnded(exchange_of(0.0, tenant=tenant, caller=tenant, route="/x")))
    first = metrics.exposition("")[0]
    made: list[object] = []

    def label_text(*of: object) -> str:
        made.append(of)
        return "{}"

    monkeypatch.setattr("gateway.observe.series.label_text", label_text)
    series = re.compile(rb"(?m)^invopop.*tenant.*$")
    assert series.findall(metrics.exposition("")[0]) == series.findall(first) != []
    assert made == []
