"""Prometheus metrics, made from events. No label value ever comes straight from a client.

Children are kept by their label values, because looking one up costs more than counting.
"""

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

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
from gateway.model import Exchange
from gateway.observe.families import FAMILIES, LOOKUP_SECONDS, Family
from gateway.observe.negotiation import OPENMETRICS, format_for
from gateway.observe.request_counters import COUNTED_HERE, RequestCounters
from gateway.observe.series import PREFIX, Counters, KeyGauges
from gateway.settings.wording import masked_label

# The cause of an exchange's end -> what its caller was too slow at.
_TOO_SLOW: Final = {"body_rate": "body", "caller_too_slow": "reply"}
_GROWING: Final = ("would_deny_total", "key_rejected_total")
_OF_KEYS: Final = ("key_expiry_timestamp_seconds", "key_issued")
_OURS: Final = frozenset({*COUNTED_HERE, *_GROWING, *_OF_KEYS})  # the others are the library's


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
        self._requests = RequestCounters(max_series, self._count_special)
        self._would_deny, self._keys_rejected = (Counters(name, max_series) for name in _GROWING)
        self._expiries, self._issued = (KeyGauges(name, max_series) for name in _OF_KEYS)
        ProcessCollector(registry=self.registry)
        families = {f.name: f for f in FAMILIES if f.name not in _OURS}
        self._families = {name: _new(family, self.registry) for name, family in families.items()}
        self._children: dict[tuple[str, ...], Any] = {}
        for family in families.values():
            for values in family.known:
                self.child(family.name, *values)
        self.child("build_info", __version__, str(is_compiled()).lower()).set(1)

    def child(self, *name_and_values: str) -> Any:
        """The child of a family of the library's for its label values, which is kept."""
        child = self._children.get(name_and_values)
        if child is None:
            name, *values = name_and_values
            metric = self._families[name]
            child = self._children[name_and_values] = metric.labels(*values) if values else metric
        return child

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
        wanted = format_for(accept)
        encode, content_type = choose_encoder(wanted)
        ours = (self._requests, self._would_deny, self._keys_rejected, self._expiries, self._issued)
        body = BytesIO()  # never in memory twice
        for one in ours:
            body.writelines(map(str.encode, one.text(wanted == OPENMETRICS)))
        body.write(encode(self.registry))
        return body.getvalue(), content_type

    def subscribe(self, events: Events) -> None:
        """Counts from now on whatever is emitted."""
        child = self.child
        events.subscribe(ExchangeEnded, self._requests.ended)
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
        events.subscribe(KeyRejected, lambda e: self._keys_rejected.count(e.tenant, e.slot))
        events.subscribe(
            KeyRefreshed, lambda e: child("key_refresh_total", e.source, e.outcome).inc()
        )
        events.subscribe(
            JwksRefreshed,
            lambda e: child("jwks_refresh_total", masked_label(e.issuer), e.outcome).inc(),
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

    def _count_special(self, x: Exchange) -> None:
        if x.error:
            self.child("rejected_total", x.error).inc()
        if x.cause in _TOO_SLOW:
            self.child("slow_callers_total", _TOO_SLOW[x.cause]).inc()
        if x.would_deny:
            self._would_deny.count(x.caller, x.route)
        if x.status == 499:
            self.child("client_disconnects_total", x.phase).inc()
