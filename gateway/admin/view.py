"""What the status page and `/status` show, as frozen values. Times are seconds since the epoch.

Every field is a string, a number, or a tuple of such rows, chosen one by one: a secret, a path
or a whole settings object has no field to be in.
"""

from dataclasses import dataclass
from typing import Literal

from gateway.admin.failure import Failure
from gateway.admin.health import Check, State
from gateway.errors import UpstreamErrorKind
from gateway.events import Outcome
from gateway.model import SlotName


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that an operator should look at, and what to do."""

    level: Literal["bad", "warn"]
    what: str
    advice: str


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """What ended within one step that began at `at`. Latencies are of forwarded requests, seconds.

    They are None if nothing was forwarded.
    """

    at: float
    requests: int
    refused: int
    failed: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Traffic:
    """The last minute in figures, and the complete steps since the start, oldest first.

    `own_seconds` is the gateway's mean own share of a forwarded request.
    """

    requests_per_second: float
    requests: int
    refused: int
    failed: int
    p50: float | None
    p95: float | None
    own_seconds: float | None
    step_seconds: float
    steps: tuple[IntervalRow, ...]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key of one tenant; `failed` counts the tenant's failed requests since the start."""

    tenant: str
    slot: SlotName
    source: str
    fingerprint: str
    expires_at: float | None
    pinned: bool
    state: str
    advice: str
    read_at: float | None
    used_at: float | None
    failed: int


@dataclass(frozen=True, slots=True)
class TenantSummary:
    """How many there are, and the keys of those that matter most."""

    total: int
    troubled: int
    ending: int
    discovery: str
    keys: tuple[KeyRow, ...]


@dataclass(frozen=True, slots=True)
class CallerRow:
    """One configured caller, and what it did since the start."""

    name: str
    known_by: tuple[str, ...]
    tenants: tuple[str, ...]
    more_tenants: int
    allowed: str
    enforced: bool
    requests: int
    refused: int
    failed: int
    last_seen: float | None


@dataclass(frozen=True, slots=True)
class CallerSummary:
    """How many are configured, and those seen last. `unknown` counts unknown callers' requests."""

    total: int
    unknown: int
    rows: tuple[CallerRow, ...]


@dataclass(frozen=True, slots=True)
class IssuerRow:
    """Who signs tokens. The keys from files, and shared secrets, are always "ok"."""

    issuer: str
    audience: str
    keys: str
    algorithms: str
    state: Literal["ok", "pending", "failing"]
    reason: str
    refreshed_at: float | None


@dataclass(frozen=True, slots=True)
class FailedAttempts:
    """How many attempts failed in one way, since the start."""

    kind: UpstreamErrorKind
    count: int


@dataclass(frozen=True, slots=True)
class UpstreamStatus:
    """Invopop as seen from here: requests `in_flight`, connections, attempts that failed.

    `file_hosts_open` are the file hosts whose own circuits are open.
    """

    url: str
    proxy: str
    circuit: Literal["open", "closed"]
    circuit_since: float | None
    circuit_reason: str
    file_hosts_open: tuple[str, ...]
    in_flight: int
    active: int
    idle: int
    waiting: int
    max_connections: int
    failed_attempts: tuple[FailedAttempts, ...]
    last_failed_at: float | None
    last_failed_kind: UpstreamErrorKind | Literal[""]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force, in words."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ConfigurationStatus:
    """What is in force, and how the last reload ended ("" if there was none)."""

    file: str
    vault: str
    in_force_since: float
    reload: Outcome | Literal[""]
    reload_at: float | None
    problems: tuple[str, ...]
    restart_required: tuple[str, ...]
    warnings: tuple[str, ...]
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """The whole page."""

    version: str
    at: float
    started_at: float
    state: State
    checks: tuple[Check, ...]
    concerns: tuple[Concern, ...]
    traffic: Traffic
    upstream: UpstreamStatus
    failures: tuple[Failure, ...]
    tenants: TenantSummary
    callers: CallerSummary
    issuers: tuple[IssuerRow, ...]
    configuration: ConfigurationStatus
