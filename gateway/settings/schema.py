"""`gateway.toml`: every section, setting and default. Seconds, bytes, absolute paths.

Law: what one value may be is said here; what must hold between values, in `checks`.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, Strict, ValidationInfo, model_validator

from gateway.settings.stores import Aws, Azure, Gcp, OpenBao
from gateway.settings.values import (
    STDOUT,
    Algorithm,
    CollectorUrl,
    Count,
    Date,
    FieldName,
    FilePath,
    Flag,
    Host,
    HttpsUrl,
    Network,
    Origin,
    Outlet,
    PeerNetwork,
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
    TenantPattern,
    Text,
    Word,
    expects,
    matching,
)
from gateway.settings.vault_file import LocalSource

_EMPTY_HASH: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

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
    port: Port = 8585
    socket: FilePath | None = None
    socket_mode: SocketMode = "0660"
    reuse_port: Flag = False
    tls_certificate: FilePath | None = None
    tls_key: FilePath | None = None
    client_ca: FilePath | None = None
    placeholder_tokens: tuple[Word, ...] = ()
    header_timeout: Seconds = 10.0
    body_timeout: Seconds = 15.0
    write_timeout: Seconds = 30.0
    idle_timeout: Seconds = 75.0
    max_connections: Count = 4096
    drain_delay: SecondsOrZero = 0.0
    drain_timeout: SecondsOrZero = 25.0

    @property
    def socket_permissions(self) -> int:
        """`socket_mode` as the number that chmod takes."""
        return int(self.socket_mode, 8)


class Admin(Table):
    """The operators' listener: metrics, probes, status."""

    host: Host = "127.0.0.1"
    port: Port = 9585
    status_networks: tuple[Network, ...] = ()


class Upstream(Table):
    """Invopop, and how hard to try to reach it. `url` is `https://host[:port]`, lower-case."""

    url: Origin = "https://api.invopop.com"
    ca_file: FilePath | None = None
    ca_only: Flag = False
    proxy: ProxyUrl | None = None
    connect_timeout: Seconds = 5.0
    read_timeout: Seconds = 75.0
    max_connections: Positive = 256
    max_retries: Annotated[int, Strict(), Field(ge=0, le=10), expects("a number from 0 to 10")] = 2
    retry_methods: tuple[IdempotentMethod, ...] = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
    circuit_failure_ratio: Ratio = 0.5
    circuit_open_for: Seconds = 5.0


class Vault(Table):
    """Where the keys are named, how fresh they are kept, and how to reach the stores.

    `identity` opens an encrypted vault file.
    """

    file: FilePath = Field(default=Path("vault.toml"), validate_default=True)
    strict: Flag = True
    identity: LocalSource | None = None
    refresh: Seconds = 300.0
    stale_grace: SecondsOrZero = 1800.0
    negative_ttl: SecondsOrZero = 30.0
    openbao: OpenBao | None = None
    aws: Aws | None = None
    gcp: Gcp | None = None
    azure: Azure | None = None


class Issuer(Table):
    """Who signs callers' JSON Web Tokens, and which of its claims say what.

    Exactly one origin of keys: `jwks_file`, `public_key_file`, `secret`, `jwks_url`, `discovery`.
    """

    issuer: Text
    audience: Text
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)]
    jwks_file: FilePath | None = None
    public_key_file: FilePath | None = None
    secret: LocalSource | None = None
    jwks_url: HttpsUrl | None = None
    discovery: Flag = False
    jwks_ca_file: FilePath | None = None
    jwks_bearer_file: FilePath | None = None
    jwks_refresh: Seconds = 300.0
    jwks_max_stale: SecondsOrZero = 86400.0
    leeway: SecondsOrZero = 5.0
    max_token_age: Seconds | None = None
    max_token_bytes: Annotated[Size, Field(ge=256, le=65536)] = 8192
    caller_claim: Text = "sub"
    caller_template: Text | None = None
    tenant_claim: Text | None = None
    tenant_claim_required: Flag = True


def _digest(text: str, info: ValidationInfo) -> str:
    # Files must spell the algorithm out: 64 bare hex digits may well be a token itself.
    prefix, _, digits = text.rpartition(":")
    if prefix != "sha256" and not (prefix == "" and info.context is None):
        raise ValueError
    if len(digits) != 64 or not set(digits.lower()) <= set("0123456789abcdef"):
        raise ValueError
    if digits.lower() == _EMPTY_HASH:
        raise ValueError
    return digits.lower()


class CallerToken(Table):
    """An opaque token, known by the SHA-256 of its text: 64 hex digits, lower case."""

    hash: Annotated[
        str,
        Strict(),
        AfterValidator(_digest),
        expects('"sha256:" and 64 hex digits, as `invopop-gateway tokens hash` prints them'),
    ]
    expires: Date | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"hash": value} if isinstance(value, str) else value


class CallerSettings(Table):
    """One internal service: how it proves who it is, and what it may do.

    `issuers` is None where the only configured issuer is believed; `allow` is None where every
    operation is. Of networks that hold an address, the narrowest names the caller.
    """

    tokens: tuple[CallerToken, ...] = ()
    issuers: tuple[Text, ...] | None = None
    networks: tuple[PeerNetwork, ...] = ()
    certificates: tuple[Word, ...] = ()
    tenants: tuple[TenantPattern, ...] = ()
    allow: tuple[Text, ...] | None = None
    deny: tuple[Text, ...] = ()
    enforce: Flag = True
    requests_per_second: Rate | None = None
    burst: Count | None = None


class Limits(Table):
    """What is too much. 0 means no limit where the reference says so.

    `burst` 0 means one second's worth. `on_storage_failure` "open": while the shared storage is
    away each process counts by itself; "closed": nothing is let through.
    """

    max_body: Size = 32 * 2**20
    max_header_bytes: Annotated[Size, Field(ge=1024, le=2**20)] = 32768
    max_headers: Positive = 128
    max_in_flight: Positive = 1024
    max_in_flight_per_tenant: Count = 0
    requests_per_second: Rate = 0.0
    burst: Count = 0
    storage: StorageUrl | None = None
    storage_password: LocalSource | None = None
    on_storage_failure: Literal["open", "closed"] = "open"


class Metrics(Table):
    """Bounds on what is exposed to Prometheus."""

    max_series: Positive = 20000


class Log(Table):
    """What is written to stdout. `sample_success` is the share of successes that get a line."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"
    sample_success: Ratio = 1.0


class Audit(Table):
    """Who used which tenant's key; no audit log without a `file`.

    `write_before_forward`: nothing of a request leaves before the line that says so is on disk.
    """

    file: Outlet | None = None
    write_before_forward: Flag = False

    @property
    def on_stdout(self) -> bool:
        """Whether the lines go among those of the log."""
        return self.file == STDOUT


class Tracing(Table):
    """OpenTelemetry traces (extra `otel`); none without an `endpoint`.

    `sample_ratio` is the share of the requests that come without a trace context; one that has a
    context is traced if that says so.
    """

    endpoint: CollectorUrl | None = None
    sample_ratio: Ratio = 1.0
    service_name: Text = "invopop-gateway"
    ca_file: FilePath | None = None
    headers: dict[FieldName, LocalSource] = Field(default_factory=dict)


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
