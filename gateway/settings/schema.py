"""`gateway.toml`: every section, setting and default. Seconds, bytes, absolute paths.

Rule: this module says what one value may be; `checks` says what must hold between values.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, Strict

from gateway.settings.callers import CallerSettings, Issuer
from gateway.settings.key_sources import LocalSource
from gateway.settings.stores import Stores
from gateway.settings.values import (
    STDOUT,
    CollectorUrl,
    Count,
    FieldName,
    FilePath,
    Flag,
    Host,
    HostAndPort,
    Network,
    Origin,
    Outlet,
    Port,
    Positive,
    ProxyUrl,
    Rate,
    Ratio,
    Seconds,
    SecondsOrZero,
    Size,
    StorageUrl,
    Table,
    Text,
    Word,
    expects,
    matching,
)

IdempotentMethod = Annotated[
    Literal["GET", "HEAD", "OPTIONS", "PUT", "DELETE"],
    expects("an idempotent method: GET, HEAD, OPTIONS, PUT or DELETE"),
]
SocketMode = Annotated[
    str, Strict(), matching(r"0?[0-7]{3}", 'permissions in octal, as a string such as "0660"')
]


class ListenSettings(Table):
    """The listener for callers."""

    host: Host = "127.0.0.1"
    """The address that callers connect to."""
    port: Port = 8585
    """The port that callers connect to; 0 takes any free one, and the event `listening` says which.
    """
    socket: FilePath | None = None
    """A Unix socket to listen on, instead of `host` and `port`."""
    socket_mode: SocketMode = "0660"
    """The socket's permissions."""
    reuse_port: Flag = False
    """Lets several gateways listen on one port of one machine: one process per core."""
    tls_certificate: FilePath | None = None
    """Certificate chain in PEM, for TLS to callers. Turning TLS on or off needs a restart."""
    tls_key: FilePath | None = None
    """The private key of `tls_certificate`."""
    client_ca: FilePath | None = None
    """CA certificates in PEM for client certificates, which callers may show but need not."""
    placeholder_tokens: tuple[Word, ...] = ()
    """Bearer values that count as no credential, for SDKs that always send one."""
    host_names: tuple[Host, ...] = ()
    """Further names of this gateway that callers known by address alone may use in `Host`."""
    header_timeout: Seconds = 10.0
    """Longest time until a request head is complete, from the connection or its first byte."""
    body_timeout: Seconds = 15.0
    """Longest pause within a request body."""
    write_timeout: Seconds = 30.0
    """Longest time in which a caller reads nothing of its reply."""
    min_rate: Size = 240
    """Bytes a second, on average, that a caller must send of a body or read of a reply; 0 = none.

    Only time in which the gateway waits for the caller counts, and a caller may fall 10 s behind.
    """
    idle_timeout: Seconds = 75.0
    """Longest time between requests on a kept connection."""
    max_connections: Count = 2048
    """Most connections from callers; further ones are closed at once. 0 = no limit."""
    max_connections_per_peer: Count = 0
    """Most connections from one address (IPv6: one /64 network), or of one user of the socket.
    0 = three quarters of `max_connections`."""
    drain_delay: SecondsOrZero = 0.0
    """Time after SIGTERM in which the gateway still listens while `/readyz` answers 503."""
    drain_timeout: SecondsOrZero = 25.0
    """Time after that for requests in flight to finish; the rest are cut off."""

    @property
    def socket_permissions(self) -> int:
        """`socket_mode` as the number that chmod takes."""
        return int(self.socket_mode, 8)

    @property
    def proxy_variable(self) -> str:
        """How clients name this gateway as their proxy, and their token."""
        scheme = "https" if self.tls_certificate else "http"
        return f"http_proxy={scheme}://any:TOKEN@gateway:{self.port or 8585}"


class AdminSettings(Table):
    """The listener for operators: metrics, probes, status."""

    host: Host = "127.0.0.1"
    """The address on which metrics, probes and the status page are served."""
    port: Port = 9585
    """The admin port, never the callers' port; 0 takes any free one."""
    max_connections: Positive = 32
    """Most connections of scrapers, probes and browsers; further ones are closed at once. One
    address may have three quarters of them."""
    status_networks: tuple[Network, ...] = ()
    """Networks besides loopback from which `/` and `/status` may be seen."""


class UpstreamSettings(Table):
    """Invopop, and how requests are sent to it. `url` is `https://host[:port]`, lower-case."""

    url: Origin = "https://api.invopop.com"
    """Where requests are sent. TLS is always verified; plain HTTP is not possible."""
    file_hosts: tuple[HostAndPort, ...] = ("silo.invopop.com", "storage.invopop.com")
    """Hosts of files, each perhaps with a port, which are reached without any key."""
    ca_file: FilePath | None = None
    """Extra trust anchors in PEM, roots or intermediates."""
    ca_only: Flag = False
    """True: only `ca_file` is trusted."""
    proxy: ProxyUrl | None = None
    """An HTTP proxy, used by CONNECT. Proxies in the environment are ignored."""
    connect_timeout: Seconds = 5.0
    """Longest time for name look-up, TCP and TLS together."""
    read_timeout: Seconds = 75.0
    """Longest time in which Invopop sends nothing. A job may make it wait for 60 s."""
    max_connections: Positive = 256
    """Most connections at one time, and a quarter as many to each file host; a request that finds
    none free waits, then gets 503 `overloaded`."""
    max_retries: Annotated[int, Strict(), Field(ge=0, le=10), expects("a number from 0 to 10")] = 2
    """How often a request may be sent again: 2 means at most three attempts."""
    retry_methods: tuple[IdempotentMethod, ...] = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
    """Methods whose requests may be sent again although bytes of them were sent."""
    circuit_failure_ratio: Ratio = 0.5
    """Share of failures, of at least 20 attempts in 10 s, that opens the circuit; 0 = never."""
    circuit_open_for: Seconds = 5.0
    """How long an open circuit answers 503 before it probes."""


class TunnelSettings(Table):
    """Tunnels (CONNECT) to Invopop's hosts, for clients that speak only `https://`."""

    certificate: FilePath | None = None
    """The CA that signs for the hosts in tunnels, in PEM, as `tunnel-ca` makes it. Left out: no
    tunnels."""
    key: FilePath | None = None
    """The private key of `certificate`."""


class VaultSettings(Stores):
    """The vault file, how often keys are read again, and how stores are reached."""

    file: FilePath = Field(default=Path("vault.toml"), validate_default=True)
    """The vault file; a name that ends in `.age` means that it is encrypted."""
    strict: Flag = True
    """True: keys of `env`, `file` and `value` must resolve at start. False: only their tenants
    fail."""
    identity: LocalSource | None = None
    """The age identity that opens an encrypted vault file."""
    refresh: Seconds = 300.0
    """How often keys in stores are read again."""
    stale_grace: SecondsOrZero = 1800.0
    """How long the last good key is used beyond that while its store is unavailable."""
    negative_ttl: SecondsOrZero = 30.0
    """How long a failed read, or a tenant that a store does not know, is remembered."""
    max_discovered: Positive = 1_000_000
    """Most tenants held that `[discover]` found; beyond it the least recently used are dropped."""


class LimitsSettings(Table):
    """Limits on requests."""

    max_body: Size = 32 * 2**20
    """Largest request body. 0 = no limit."""
    max_header_bytes: Annotated[
        Size, Field(ge=1024, le=2**20), expects('a size from "1KiB" to "1MiB"')
    ] = 32768
    """Largest request head, in all."""
    max_headers: Positive = 128
    """Most fields in a request head."""
    max_in_flight: Positive = 1024
    """Most requests at one time; further ones get 503 `overloaded`."""
    max_in_flight_per_tenant: Count = 0
    """Most requests of one tenant at one time. 0 = no limit."""
    requests_per_second: Rate = 0.0
    """Rate limit of each tenant; further requests get 429 `rate_limited`. 0 = no limit."""
    burst: Count = 0
    """Requests that may come at once within the rate limit. 0 = one second's worth."""
    storage: StorageUrl | None = None
    """A Redis through which replicas share the rate limits (extra `redis`)."""
    storage_password: LocalSource | None = None
    """The password of `storage`."""
    on_storage_failure: Literal["open", "closed"] = "open"
    """While `storage` is unavailable: "open", each process counts alone; "closed", requests are
    refused."""


class MetricsSettings(Table):
    """Limits on what is exposed to Prometheus."""

    max_series: Positive = 20000
    """Most series of one family; beyond it new tenants and callers are counted as `other`."""


class LogSettings(Table):
    """What is written to stdout."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The lowest level that is logged."""
    format: Literal["json", "console"] = "json"
    """"json": one object per line. "console": text for people."""
    sample_success: Ratio = 1.0
    """Share of successful requests that are logged."""


class AuditSettings(Table):
    """The audit log: who used which tenant's key."""

    file: Outlet | None = None
    """The file that lines are appended to; "stdout": the log's own lines. Left out: no audit log.
    """
    write_before_forward: Flag = False
    """True: no byte of a request is sent before its line is on disk; if that fails, 503."""

    @property
    def on_stdout(self) -> bool:
        """Whether the lines go among those of the log."""
        return self.file == STDOUT


class TracingSettings(Table):
    """OpenTelemetry traces (extra `otel`)."""

    endpoint: CollectorUrl | None = None
    """Where spans are sent by OTLP over HTTP; without a path, `/v1/traces`. Left out: no traces."""
    sample_ratio: Ratio = 1.0
    """Share of requests without a `traceparent` that are traced; one with it is traced if it says
    so."""
    service_name: Text = "invopop-gateway"
    """The `service.name` of the spans."""
    ca_file: FilePath | None = None
    """The only trust anchors for the receiver. Left out: the system's."""
    headers: dict[FieldName, LocalSource] = Field(default_factory=dict)
    """Header fields sent with the spans; only over https://, or to this machine."""


class Settings(Table):
    """The whole of `gateway.toml`."""

    listen: ListenSettings = ListenSettings()
    admin: AdminSettings = AdminSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    tunnel: TunnelSettings = TunnelSettings()
    vault: VaultSettings = VaultSettings()
    issuers: tuple[Issuer, ...] = ()
    callers: dict[Text, CallerSettings] = Field(default_factory=dict)
    limits: LimitsSettings = LimitsSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    audit: AuditSettings = AuditSettings()
    tracing: TracingSettings = TracingSettings()


def sections() -> dict[str, type[Table]]:
    """The tables `[SECTION]` that may stand once, by name: all but issuers and callers."""
    annotations = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {
        name: annotation
        for name, annotation in annotations.items()
        if isinstance(annotation, type) and issubclass(annotation, Table)
    }
