"""`gateway.toml`: every section, setting and default. Seconds, bytes, absolute paths.

Law: what one value may be is said here; what must hold between values, in `checks`.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, Strict

from gateway.settings.callers import CallerSettings, Issuer
from gateway.settings.stores import Aws, Azure, Gcp, OpenBao
from gateway.settings.values import (
    STDOUT,
    CollectorUrl,
    Count,
    FieldName,
    FilePath,
    Flag,
    Host,
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
from gateway.settings.vault_file import LocalSource

IdempotentMethod = Annotated[
    Literal["GET", "HEAD", "OPTIONS", "PUT", "DELETE"],
    expects("an idempotent method: GET, HEAD, OPTIONS, PUT or DELETE"),
]
SocketMode = Annotated[
    str, Strict(), matching(r"0?[0-7]{3}", 'permissions in octal, as a string such as "0660"')
]


class Listen(Table):
    """The callers' listener."""

    host: Host = "127.0.0.1"
    """The address that callers connect to."""
    port: Port = 8585
    """Their port; 0 takes any free one, and the event `listening` says which."""
    socket: FilePath | None = None
    """A Unix socket to listen on, instead of `host` and `port`."""
    socket_mode: SocketMode = "0660"
    """The socket's permissions."""
    reuse_port: Flag = False
    """Lets several gateways listen on one port of one machine: one process per core."""
    tls_certificate: FilePath | None = None
    """Certificate chain in PEM, for TLS to callers. On or off needs a restart."""
    tls_key: FilePath | None = None
    """The private key of `tls_certificate`."""
    client_ca: FilePath | None = None
    """Who signs callers' certificates. A caller may show one, and need not."""
    placeholder_tokens: tuple[Word, ...] = ()
    """Bearer values that count as none, for SDKs that always send one."""
    host_names: tuple[Host, ...] = ()
    """Names of this gateway, besides local ones, for `Host` of callers known by address alone."""
    header_timeout: Seconds = 10.0
    """For a whole request head, from the connection or its first byte."""
    body_timeout: Seconds = 15.0
    """Longest silence within a request body."""
    write_timeout: Seconds = 30.0
    """Longest stall of a caller that does not read its reply."""
    idle_timeout: Seconds = 75.0
    """How long a kept connection may wait for its next request."""
    max_connections: Count = 4096
    """Of callers; further ones are closed at once. 0 = no limit."""
    drain_delay: SecondsOrZero = 0.0
    """After SIGTERM: still listening, while `/readyz` already says 503."""
    drain_timeout: SecondsOrZero = 25.0
    """Then: for requests in flight to finish; the rest is cut."""

    @property
    def socket_permissions(self) -> int:
        """`socket_mode` as the number that chmod takes."""
        return int(self.socket_mode, 8)


class Admin(Table):
    """The operators' listener: metrics, probes, status."""

    host: Host = "127.0.0.1"
    """The address of `/metrics`, `/livez` and `/readyz`."""
    port: Port = 9585
    """Their port, never the callers'; 0 takes any free one."""
    status_networks: tuple[Network, ...] = ()
    """Peers other than loopback that may see `/` and `/status`."""


class Upstream(Table):
    """Invopop, and how hard to try to reach it. `url` is `https://host[:port]`, lower-case."""

    url: Origin = "https://api.invopop.com"
    """Where requests go. Always verified; there is no switch for plain HTTP."""
    ca_file: FilePath | None = None
    """An extra trust anchor in PEM."""
    ca_only: Flag = False
    """Trusts `ca_file` alone."""
    proxy: ProxyUrl | None = None
    """An HTTP proxy that is asked to CONNECT. The environment's are ignored."""
    connect_timeout: Seconds = 5.0
    """For name look-up, TCP and TLS together."""
    read_timeout: Seconds = 75.0
    """Longest silence of Invopop. A job may make it wait 60 s."""
    max_connections: Positive = 256
    """Open at one time; a request that finds none free waits, then 503 `overloaded`."""
    max_retries: Annotated[int, Strict(), Field(ge=0, le=10), expects("a number from 0 to 10")] = 2
    """How often a request may be sent again: 2 means at most three attempts."""
    retry_methods: tuple[IdempotentMethod, ...] = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
    """Methods that may be sent again although bytes of them went out."""
    circuit_failure_ratio: Ratio = 0.5
    """Share of at least 20 attempts in 10 s that opens the circuit; 0 = never."""
    circuit_open_for: Seconds = 5.0
    """How long an open circuit answers 503 before it probes."""


class Vault(Table):
    """Where the keys are named, how fresh they are kept, and how to reach the stores."""

    file: FilePath = Field(default=Path("vault.toml"), validate_default=True)
    """The vault file; `.age` at its end means encrypted."""
    strict: Flag = True
    """Keys of `env`, `file` and `value` must be there at start; false: only their tenant fails."""
    identity: LocalSource | None = None
    """The age identity that opens an encrypted vault file."""
    refresh: Seconds = 300.0
    """How often keys in stores are read again."""
    stale_grace: SecondsOrZero = 1800.0
    """How long the last good key serves beyond that while its store is away."""
    negative_ttl: SecondsOrZero = 30.0
    """How long a failed read, or a tenant that a store does not know, is remembered."""
    max_discovered: Positive = 1_000_000
    """Tenants held that `[discover]` found; beyond it one that was not used for long is let go."""
    openbao: OpenBao | None = None
    aws: Aws | None = None
    gcp: Gcp | None = None
    azure: Azure | None = None


class Limits(Table):
    """What is too much."""

    max_body: Size = 32 * 2**20
    """Of a request. 0 = no limit."""
    max_header_bytes: Annotated[Size, Field(ge=1024, le=2**20)] = 32768
    """The whole head of a request."""
    max_headers: Positive = 128
    """Fields in the head of a request."""
    max_in_flight: Positive = 1024
    """Requests at one time; beyond it 503 `overloaded`."""
    max_in_flight_per_tenant: Count = 0
    """The same for one tenant. 0 = no limit."""
    requests_per_second: Rate = 0.0
    """Of one tenant; beyond it 429 `rate_limited`. 0 = no limit."""
    burst: Count = 0
    """Requests that may come at once. 0 = one second's worth."""
    storage: StorageUrl | None = None
    """Shares the rate limits between replicas (extra `redis`)."""
    storage_password: LocalSource | None = None
    """The password of `storage`."""
    on_storage_failure: Literal["open", "closed"] = "open"
    """While `storage` is away: "open", each process counts by itself; "closed", nothing passes."""


class Metrics(Table):
    """Bounds on what is exposed to Prometheus."""

    max_series: Positive = 20000
    """Of one family; beyond it new tenants and callers become `other`."""


class Log(Table):
    """What is written to stdout."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """What is logged at least."""
    format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for people."""
    sample_success: Ratio = 1.0
    """Share of successful requests that get a line."""


class Audit(Table):
    """Who used which tenant's key."""

    file: Outlet | None = None
    """Where it is written, appended to; "stdout": among the log's lines. Left out: nowhere."""
    write_before_forward: Flag = False
    """Nothing of a request leaves before the line that says so is on disk; if not, 503."""

    @property
    def on_stdout(self) -> bool:
        """Whether the lines go among those of the log."""
        return self.file == STDOUT


class Tracing(Table):
    """OpenTelemetry traces (extra `otel`)."""

    endpoint: CollectorUrl | None = None
    """Where OTLP over HTTP is received; a URL without a path gets `/v1/traces`. Left out: none."""
    sample_ratio: Ratio = 1.0
    """Share of requests without a trace context; one that has it is traced if that says so."""
    service_name: Text = "invopop-gateway"
    """The `service.name` of the spans."""
    ca_file: FilePath | None = None
    """The only trust anchor of the receiver; else the public ones."""
    headers: dict[FieldName, LocalSource] = Field(default_factory=dict)
    """Sent with the spans: names, and where each value is. Over https://, or to this machine."""


class Settings(Table):
    """The whole of `gateway.toml`."""

    listen: Listen = Listen()
    admin: Admin = Admin()
    upstream: Upstream = Upstream()
    vault: Vault = Vault()
    issuers: tuple[Issuer, ...] = ()
    callers: dict[Text, CallerSettings] = Field(default_factory=dict)
    limits: Limits = Limits()
    metrics: Metrics = Metrics()
    log: Log = Log()
    audit: Audit = Audit()
    tracing: Tracing = Tracing()
