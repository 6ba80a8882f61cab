"""Prometheus metrics, made from events. No label value ever comes straight from a client.

Children are kept by their label values, because looking one up costs more than counting.
"""

from collections.abc import Callable, Iterable
from itertools import islice
from math import inf
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway import __version__, is_compiled
from gateway.events import (
    ConfigReloaded,
    ConnectionRefused,
    Events,
    ExchangeEnded,
    JwksRefreshed,
    KeyEchoed,
    KeyRefreshed,
    KeyRejected,
    NameLookedUp,
    TlsHandshakeFailed,
    UpstreamConnected,
    UpstreamFailed,
    UpstreamRetried,
)
from gateway.observe.families import FAMILIES, LOOKUP_SECONDS, Family
from gateway.observe.negotiation import format_for
from gateway.observe.request_counters import COUNTED_HERE, OTHER, PREFIX, RequestCounters

# The cause of an exchange's end -> what its caller was too slow at.
_TOO_SLOW: Final = {"body_rate": "body", "caller_too_slow": "reply"}
_BOUNDED: Final = frozenset({"tenant", "caller"})


class _OfKeys(Collector):
    """A gauge of keys, read from the vault at each scrape: tenant, slot, value."""

    def __init__(self, family: Family, limit: int) -> None:
        self._family = family
        self._limit = limit
        self.read: Callable[[], Iterable[tuple[str, str, float]]] = tuple

    def collect(self) -> Iterable[Metric]:
        """One gauge. Past `limit` series the tenants share `other`: the least of theirs."""
        family = self._family
        gauge = GaugeMetricFamily(PREFIX + family.name, family.meaning, labels=family.labels)
        values = iter(self.read())
        for tenant, slot, value in islice(values, self._limit):
            gauge.add_metric((tenant, slot), value)
        rest: dict[str, float] = {}
        for _, slot, value in values:
            rest[slot] = min(value, rest.get(slot, inf))
        for slot, value in rest.items():
            gauge.add_metric((OTHER, slot), value)
        yield gauge


def _new(family: Family, registry: CollectorRegistry) -> Any:
    name = PREFIX + family.name.removesuffix("_total")
    if family.kind == "histogram":
        return Histogram(
            name, family.meaning, family.labels, registry=registry, buckets=LOOKUP_SECONDS
        )
    kind = Counter if family.kind == "counter" else Gauge
    return kind(name, family.meaning, family.labels, registry=registry)


class PrometheusMetrics:
    """Every family of the table, and the subscriptions that fill them."""

    def __init__(self, max_series: int) -> None:
        # Else each counter and histogram has a second series that nothing here uses.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._max_series = max_series
        self._counters = RequestCounters(max_series)
        self.registry.register(self._counters)
        tables = {f.name: f for f in FAMILIES if f.name not in COUNTED_HERE}
        self._expiries = _OfKeys(tables.pop("key_expiry_timestamp_seconds"), max_series)
        self._issued = _OfKeys(tables.pop("key_issued"), max_series)
        self.registry.register(self._expiries)
        self.registry.register(self._issued)
        ProcessCollector(registry=self.registry)
        self._families = {name: (f, _new(f, self.registry)) for name, f in tables.items()}
        self._series = dict.fromkeys(self._families, 0)
        self._children: dict[tuple[str, ...], Any] = {}
        for family, _ in self._families.values():
            for values in family.known:
                self.child(family.name, *values)
        self.child("build_info", __version__, str(is_compiled()).lower()).set(1)

    def child(self, *name_and_values: str) -> Any:
        """The child of a family for its label values, in the table's order; it is kept.

        Past `max_series` children of one family, new tenants and callers share `other`.
        """
        child = self._children.get(name_and_values)
        return self._add(name_and_values) if child is None else child

    def _add(self, key: tuple[str, ...]) -> Any:
        name, *values = key
        family, metric = self._families[name]
        if self._series[name] >= self._max_series:
            pairs = zip(family.labels, values, strict=True)
            values = [OTHER if label in _BOUNDED and v else v for label, v in pairs]
            key = (name, *values)
            if key in self._children:
                return self._children[key]
        self._series[name] += 1
        self._children[key] = metric.labels(*values) if values else metric
        return self._children[key]

    def watch(self, name: str, read: Callable[[], float], *values: str) -> None:
        """Lets a gauge read its value at each scrape."""
        self.child(name, *values).set_function(read)

    def watch_expiries(
        self,
        read: Callable[[], Iterable[tuple[str, str, float]]],
        issued: Callable[[], Iterable[tuple[str, str, float]]] = tuple,
    ) -> None:
        """Lets the expiry of keys, and which are issued, be read at each scrape, by its thread."""
        self._expiries.read, self._issued.read = read, issued

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The scrape's body and content type, as `Accept` asks: text or OpenMetrics."""
        encode, content_type = choose_encoder(format_for(accept))
        return encode(self.registry), content_type

    def subscribe(self, events: Events) -> None:
        """Counts from now on whatever is emitted."""
        child = self.child
        events.subscribe(ExchangeEnded, self._ended)
        events.subscribe(UpstreamFailed, lambda e: child("upstream_errors_total", e.kind).inc())
        events.subscribe(UpstreamRetried, lambda e: child("upstream_retries_total", e.reason).inc())
        events.subscribe(
            UpstreamConnected, lambda e: child("upstream_connects_total", e.outcome).inc()
        )
        events.subscribe(
            NameLookedUp,
            lambda e: child("dns_lookup_duration_seconds", e.outcome).observe(e.seconds),
        )
        events.subscribe(
            TlsHandshakeFailed,
            lambda e: child("tls_handshake_failures_total", e.listener, e.reason).inc(),
        )
        events.subscribe(
            ConnectionRefused,
            lambda e: child("connections_refused_total", e.listener, e.reason).inc(),
        )
        events.subscribe(KeyEchoed, lambda _: child("key_echo_total").inc())
        events.subscribe(KeyRejected, lambda e: child("key_rejected_total", e.tenant, e.slot).inc())
        events.subscribe(
            KeyRefreshed, lambda e: child("key_refresh_total", e.source, e.outcome).inc()
        )
        events.subscribe(
            JwksRefreshed, lambda e: child("jwks_refresh_total", e.issuer, e.outcome).inc()
        )
        events.subscribe(ConfigReloaded, self._reloaded)

    def _reloaded(self, event: ConfigReloaded) -> None:
        self.child("config_reloads_total", event.outcome).inc()
        self.configuration_in_force(event.outcome == "success")

    def configuration_in_force(self, took_effect: bool) -> None:
        """Sets whether the newest configuration is the one in force."""
        self.child("config_last_reload_successful").set(int(took_effect))
        if took_effect:
            self.child("config_last_reload_success_timestamp_seconds").set_to_current_time()

    def _ended(self, event: ExchangeEnded) -> None:
        x = event.exchange
        self._counters.count(x)
        if x.error:
            self.child("rejected_total", x.error).inc()
        if x.cause in _TOO_SLOW:
            self.child("slow_callers_total", _TOO_SLOW[x.cause]).inc()
        if x.would_deny:
            self.child("would_deny_total", x.caller, x.route).inc()
        if x.status == 499:
            self.child("client_disconnects_total", x.phase).inc()
