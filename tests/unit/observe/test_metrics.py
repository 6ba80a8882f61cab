"""Metrics: what an exchange counts as, and how many series there can be."""

from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.errors import KINDS
from gateway.events import (
    ConfigReloaded,
    Events,
    ExchangeEnded,
    JwksRefreshed,
    KeyRejected,
    UpstreamFailed,
)
from gateway.model import Exchange
from gateway.observe.families import FAMILIES, OWN_SECONDS, SECONDS, UPSTREAM_KINDS, Family
from gateway.observe.metrics import PrometheusMetrics
from gateway.upstream import failures
from tests.support.exchanges import exchange_of


def samples(metrics: PrometheusMetrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = metrics.exposition("")[0].decode()
    return {
        (s.name.removeprefix("invopop_gateway_"), tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def counted(*exchanges: Exchange, max_series: int = 100) -> PrometheusMetrics:
    metrics, events = PrometheusMetrics(max_series), Events()
    metrics.subscribe(events)
    for exchange in exchanges:
        events.emit(ExchangeEnded(exchange))
    return metrics


def exchange(**fields: Any) -> Exchange:
    known: dict[str, Any] = {
        "caller": "billing",
        "tenant": "acme",
        "route": "/x",
        "method": "GET",
        "status": 200,
    }
    return exchange_of(0.0, **(known | fields))


def test_buckets_fit() -> None:
    """OpenTelemetry's for HTTP durations and Invopop's waits; 50 µs to 10 ms for our own share."""
    known = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
    assert list(SECONDS) == [*known, 30, 60, 75]
    assert (OWN_SECONDS[0], OWN_SECONDS[-1]) == (0.00005, 0.01)


def test_every_family_exists_from_the_first_scrape() -> None:
    """A family without any event yet is there, so that an alert on it is not silent."""
    text = PrometheusMetrics(10).exposition("")[0].decode()
    for family in FAMILIES:
        assert f"# TYPE invopop_gateway_{family.name} {family.kind}" in text


def test_closed_lists_start_at_zero() -> None:
    """Every error key has its series before it ever occurs."""
    seen = samples(PrometheusMetrics(100))
    for key in KINDS:
        assert seen["rejected_total", (("reason", key),)] == 0


def test_an_exchange_is_counted_once_everywhere() -> None:
    """Requests, durations and bytes come from the one event that ends an exchange."""
    seen = samples(counted(exchange(bytes_in=3, bytes_out=5, seconds=0.2, upstream_seconds=0.1)))
    labels = (
        ("caller", "billing"), ("method", "GET"), ("route", "/x"),
        ("status", "200"), ("tenant", "acme"),
    )  # fmt: skip
    assert seen["requests_total", labels] == 1
    assert seen["request_bytes_total", (("tenant", "acme"),)] == 3
    assert seen["response_bytes_total", (("tenant", "acme"),)] == 5
    where = (("method", "GET"), ("route", "/x"))
    assert seen["request_duration_seconds_sum", where] == 0.2
    assert seen["upstream_duration_seconds_count", where] == 1


def test_refusals_and_leavers_are_told_apart() -> None:
    """An error counts by its key; a caller that left counts by the phase it left in."""
    seen = samples(
        counted(
            exchange(status=403, error="tenant_denied", tenant=""),
            exchange(status=499, phase="waiting"),
            exchange(would_deny=True),
        )
    )
    assert seen["rejected_total", (("reason", "tenant_denied"),)] == 1
    assert seen["client_disconnects_total", (("phase", "waiting"),)] == 1
    assert seen["would_deny_total", (("caller", "billing"), ("route", "/x"))] == 1


def test_series_are_bounded() -> None:
    """Past `max_series`, new tenants and callers share "other", and none is lost."""
    exchanges = [exchange(tenant=f"t{n}", caller=f"c{n}") for n in range(50)]
    seen = samples(counted(*exchanges, max_series=10))
    requests = {k: v for k, v in seen.items() if k[0] == "requests_total"}
    assert len(requests) == 11
    assert sum(requests.values()) == 50
    (other,) = (v for k, v in requests.items() if ("tenant", "other") in k[1])
    assert other == 40


def test_key_expiry_is_read_at_each_scrape() -> None:
    """What the vault says now is what the scrape shows; a key that is gone is gone."""
    metrics = PrometheusMetrics(2)
    metrics.watch_expiries(lambda: [("acme", "key", 5.0), ("b", "key", 6.0), ("c", "key", 7.0)])
    assert expiries(metrics) == {"acme": 5.0, "b": 6.0, "other": 7.0}
    metrics.watch_expiries(list)
    assert expiries(metrics) == {}


def test_the_earliest_expiry_beyond_the_limit_is_told() -> None:
    """Past `max_series` the tenants share `other`, so that no expiry comes unannounced."""
    metrics = PrometheusMetrics(1)
    told = [("acme", "key", 5.0), ("b", "key", 9.0), ("c", "key", 7.0), ("d", "key", 8.0)]
    metrics.watch_expiries(lambda: told)
    assert expiries(metrics) == {"acme": 5.0, "other": 7.0}


def expiries(metrics: PrometheusMetrics) -> dict[str, float]:
    """By tenant."""
    name = "key_expiry_timestamp_seconds"
    return {dict(labels)["tenant"]: v for (n, labels), v in samples(metrics).items() if n == name}


@pytest.mark.parametrize("family", [f for f in FAMILIES if {"tenant", "caller"} & set(f.labels)])
def test_no_family_outgrows_max_series(family: Family) -> None:
    """Whatever bears a tenant or a caller has `max_series` of them, and then `other`."""
    metrics, events = PrometheusMetrics(3), Events()
    metrics.subscribe(events)
    keys = [(f"t{n}", "key", 1.0) for n in range(9)]
    metrics.watch_expiries(lambda: keys, lambda: keys)
    for n in range(9):
        events.emit(ExchangeEnded(exchange(tenant=f"t{n}", caller=f"c{n}", would_deny=True)))
        events.emit(KeyRejected(f"t{n}", "key", "0123456789ab"))
    names = {
        labels.get("tenant") or labels["caller"]
        for (name, values), _ in samples(metrics).items()
        if name == family.name and (labels := dict(values))
    }
    assert len(names) == 4
    assert "other" in names


def test_the_closed_lists_are_those_of_the_rooms() -> None:
    """What the rooms can emit is what the table knows from the start."""
    assert set(UPSTREAM_KINDS) == {*failures.KINDS, "edge_refused"}


def test_a_failed_reload_shows() -> None:
    """`config_last_reload_successful` falls to 0 and the timestamp of the last success stays."""
    metrics, events = PrometheusMetrics(10), Events()
    metrics.subscribe(events)
    events.emit(ConfigReloaded("success"))
    before = samples(metrics)["config_last_reload_success_timestamp_seconds", ()]
    events.emit(ConfigReloaded("failure", ("x",)))
    seen = samples(metrics)
    assert seen["config_last_reload_successful", ()] == 0
    assert seen["config_last_reload_success_timestamp_seconds", ()] == before > 0
    assert seen["config_reloads_total", (("outcome", "failure"),)] == 1


def test_a_trace_id_becomes_an_exemplar() -> None:
    """OpenMetrics scrapes can jump from a bucket to a trace."""
    metrics = counted(exchange(seconds=0.2, trace_id="ab" * 16))
    body, content_type = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    parsed = openmetrics(body.decode())  # type: ignore[no-untyped-call]
    (bucket,) = (s for family in parsed for s in family.samples if s.exemplar)
    assert (bucket.name, bucket.labels["le"]) == (
        "invopop_gateway_request_duration_seconds_bucket",
        "0.25",
    )
    assert (bucket.exemplar.labels, bucket.exemplar.value) == ({"trace_id": "ab" * 16}, 0.2)
    assert b"trace_id" not in metrics.exposition("")[0]


def test_upstream_failures_count_by_kind() -> None:
    """The kinds are a closed list, which the table knows."""
    metrics, events = PrometheusMetrics(10), Events()
    metrics.subscribe(events)
    events.emit(UpstreamFailed("tls", "r"))
    assert samples(metrics)["upstream_errors_total", (("kind", "tls"),)] == 1


def test_an_issuer_that_looks_like_a_key_is_no_label() -> None:
    """A key pasted in its place is not scraped; usual issuers are themselves, others told apart."""
    metrics, events = PrometheusMetrics(100), Events()
    metrics.subscribe(events)
    pasted = ("sk_live_9f8e7d6c5b4a3928", "https://id/Zq8Kx2Wv7Jp4Tn9Rb3Yc", "https://id/Xk7")
    for issuer in pasted:
        events.emit(JwksRefreshed(issuer, "success", ""))
    shown = {dict(labels)["issuer"] for name, labels in samples(metrics) if "jwks" in name}
    assert "https://id/Xk7" in shown
    assert len(shown) == 3
    assert not any(secret in f"{shown}" for secret in ("9f8e7d6c", "Zq8Kx2Wv"))
