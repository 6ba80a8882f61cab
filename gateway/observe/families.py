"""The metric families as one table: name, kind, labels, meaning, and the closed lists of values.

A label is a configured name, a row of the operations table, or from a closed list.
"""

from typing import Final, Literal, NamedTuple, get_args

from gateway.errors import ConnectFailure, ErrorKey, UpstreamErrorKind
from gateway.events import ConnectionRefusal, Outcome, RetryReason, TlsFailureReason
from gateway.model import Phase
from gateway.settings.key_sources import SOURCE_KINDS

# OpenTelemetry's http.server.request.duration buckets, and Invopop's waits of up to a minute.
SECONDS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0),
    *(2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 75.0),
)
OWN_SECONDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01)

# From a cache on this machine to a resolver that tries each server twice for five seconds.
LOOKUP_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

TLS_FAILURES: Final[tuple[str, ...]] = get_args(TlsFailureReason)
CONNECTION_REFUSALS: Final[tuple[str, ...]] = get_args(ConnectionRefusal)
PHASES: Final[tuple[str, ...]] = get_args(Phase)
OUTCOMES: Final[tuple[str, ...]] = get_args(Outcome)
STATES: Final = ("active", "idle", "waiting")
RETRY_REASONS: Final[tuple[str, ...]] = get_args(RetryReason)
SOURCES: Final = tuple(SOURCE_KINDS)
CONNECT_FAILURES: Final[tuple[str, ...]] = get_args(ConnectFailure)
UPSTREAM_KINDS: Final[tuple[str, ...]] = get_args(UpstreamErrorKind)


class Family(NamedTuple):
    """One metric family; `known` are the label values that exist from the first scrape on."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str
    known: tuple[tuple[str, ...], ...] = ()


def _each(values: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


FAMILIES: Final = (
    Family(
        "requests_total",
        "counter",
        ("tenant", "caller", "route", "method", "status"),
        "Requests that ended, with what was known of them; status 499 means that the caller left.",
    ),
    Family(
        "request_duration_seconds",
        "histogram",
        ("route", "method"),
        "From a request's head to the end of its reply.",
    ),
    Family(
        "upstream_duration_seconds",
        "histogram",
        ("route", "method"),
        "From sending a request to the head of Invopop's reply.",
    ),
    Family(
        "overhead_seconds",
        "histogram",
        (),
        "The gateway's own share of a forwarded request, without waiting for others.",
    ),
    Family("requests_in_flight", "gauge", (), "Requests that hold a permit.", known=((),)),
    Family("request_bytes_total", "counter", ("tenant",), "Body bytes received from callers."),
    Family("response_bytes_total", "counter", ("tenant",), "Body bytes sent to callers."),
    Family(
        "rejected_total",
        "counter",
        ("reason",),
        "Requests answered with one of the gateway's own errors, by error key.",
        known=_each(get_args(ErrorKey)),
    ),
    Family(
        "would_deny_total",
        "counter",
        ("caller", "route"),
        "Requests let through only because of enforce = false.",
    ),
    Family(
        "client_disconnects_total",
        "counter",
        ("phase",),
        "Callers that left, while sending, while waiting or during the response.",
        known=_each(PHASES),
    ),
    Family(
        "slow_callers_total",
        "counter",
        ("direction",),
        "Requests ended because their caller sent or read more slowly than listen.min_rate.",
        known=_each(("body", "reply")),
    ),
    Family(
        "upstream_errors_total",
        "counter",
        ("kind",),
        "Failed attempts to reach Invopop.",
        known=_each(UPSTREAM_KINDS),
    ),
    Family(
        "upstream_retries_total",
        "counter",
        ("reason",),
        "Requests sent again, by cause.",
        known=_each(RETRY_REASONS),
    ),
    Family(
        "upstream_connections",
        "gauge",
        ("state",),
        "Connections to Invopop, in use and idle, and requests waiting for one.",
        known=_each(STATES),
    ),
    Family(
        "upstream_connects_total",
        "counter",
        ("outcome",),
        "Attempts to connect to Invopop, by outcome.",
        known=_each(("success", *CONNECT_FAILURES)),
    ),
    Family(
        "dns_lookup_duration_seconds",
        "histogram",
        ("outcome",),
        "Name look-ups, for Invopop, issuers, stores and the rate storage.",
        known=_each(OUTCOMES),
    ),
    Family(
        "tls_handshake_failures_total",
        "counter",
        ("listener", "reason"),
        "TLS handshakes with callers that failed.",
        known=(
            *(("callers", reason) for reason in TLS_FAILURES),
            ("admin", "tls_on_plain_port"),
        ),
    ),
    Family(
        "connections_refused_total",
        "counter",
        ("listener", "reason"),
        "Connections that were closed at once, because too many were open.",
        known=tuple(
            (listener, reason)
            for listener in ("callers", "admin")
            for reason in CONNECTION_REFUSALS
        ),
    ),
    Family(
        "certificate_expiry_timestamp_seconds",
        "gauge",
        ("listener",),
        "When the first certificate of a listener's chain, or the tunnels' CA, expires.",
    ),
    Family(
        "circuit_open",
        "gauge",
        (),
        "1 while the circuit is open, so that requests are answered 503.",
        ((),),
    ),
    Family(
        "audit_failing",
        "gauge",
        (),
        "1 while the audit log cannot be written, and after it has lost lines.",
        ((),),
    ),
    Family(
        "rate_storage_up",
        "gauge",
        (),
        "0 while the shared storage of the rate limits is unavailable, else 1.",
        ((),),
    ),
    Family("spans_dropped_total", "counter", (), "Spans that were lost.", ((),)),
    Family(
        "key_expiry_timestamp_seconds",
        "gauge",
        ("tenant", "slot"),
        "When a key expires, if it is issued, or a JWT that says so.",
    ),
    Family(
        "key_issued",
        "gauge",
        ("tenant", "slot"),
        "Always 1: the key is issued by Invopop for a short time, and renewed by the gateway.",
    ),
    Family(
        "key_refresh_total",
        "counter",
        ("source", "outcome"),
        "Reads of keys from their sources; finding no tenant of that name is a success.",
        known=tuple((source, outcome) for source in SOURCES for outcome in OUTCOMES),
    ),
    Family(
        "key_rejected_total",
        "counter",
        ("tenant", "slot"),
        "Requests that Invopop answered 401 because it rejects their key.",
    ),
    Family("key_echo_total", "counter", (), "Response headers that contained the key.", ((),)),
    Family("jwks_refresh_total", "counter", ("issuer", "outcome"), "Reads of issuers' key sets."),
    Family(
        "config_reloads_total",
        "counter",
        ("outcome",),
        "Reloads of the configuration.",
        known=_each(OUTCOMES),
    ),
    Family(
        "config_last_reload_successful",
        "gauge",
        (),
        "1 if the last load or reload took effect, else 0.",
        ((),),
    ),
    Family(
        "config_last_reload_success_timestamp_seconds",
        "gauge",
        (),
        "When the configuration last took effect.",
        ((),),
    ),
    Family(
        "build_info",
        "gauge",
        ("version", "compiled"),
        "Always 1; the version is a label, and whether this is the compiled form.",
    ),
)
