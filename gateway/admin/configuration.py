"""The configuration in force as rows for the status page: settings, callers, issuers. Pure.

Each setting is named here; of files only the name is shown, of secrets and tokens nothing, not even
a hash.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from gateway.admin.history import History, RecentEvents, Usage
from gateway.admin.shown_callers import ShownCaller
from gateway.admin.view import CallerRow, CallerSummary, ConfigurationStatus, IssuerRow, Setting
from gateway.admin.wording import day
from gateway.identity.authenticator import IssuerState
from gateway.policy.caller_policy import CallerPolicy
from gateway.settings.callers import Issuer
from gateway.settings.key_sources import STORE_TABLES
from gateway.settings.load import Loaded
from gateway.settings.schema import ListenSettings, Settings
from gateway.settings.wording import masked, masked_name

MOST: Final = 50  # callers, and issuers, that are shown
_MOST_TENANTS: Final = 8
_MOST_LINES: Final = 20
_NEVER: Final = Usage()
# The directories of an absolute path: `/etc/gateway/` in `/etc/gateway/vault.toml`, none in a URL.
_DIRECTORIES: Final = re.compile(r"(?<![\w:/.])/(?:[^\s\"':;,/]+/)+")


def configuration(
    loaded: Loaded,
    recent_events: RecentEvents,
    more: tuple[str, ...] = (),
    certificates: Mapping[str, float] = MappingProxyType({}),
) -> ConfigurationStatus:
    """What is in force, since when, and how the last reload ended.

    `more` are warnings that only the keys themselves tell; `certificates` are their ends in
    seconds since 1970, by the setting that names the file.
    """
    ends = ", ".join(f"{name} {day(end)}" for name, end in certificates.items())
    reload = recent_events.reload
    return ConfigurationStatus(
        file=loaded.file.name,
        vault=masked_name(loaded.vault_path.name),
        in_force_since=recent_events.in_force_since,
        reload=reload.event.outcome if reload else "",
        reload_at=reload.at if reload else None,
        problems=_lines(loaded, reload.event.problems if reload else ()),
        restart_required=reload.event.restart_required if reload else (),
        warnings=_lines(loaded, (*loaded.warnings, *more)),
        settings=(
            *(Setting(name, masked(value(loaded.settings))) for name, value in _SHOWN),
            *((Setting("Certificates expire", ends),) if ends else ()),
        ),
    )


def _lines(loaded: Loaded, texts: tuple[str, ...]) -> tuple[str, ...]:
    """At most some, with files by their names alone."""
    known = {str(loaded.file.parent) + "/", str(loaded.vault_path.parent) + "/"} - {"/"}
    lines = []
    for text in texts[:_MOST_LINES]:
        line = text
        for directory in sorted(known, key=len, reverse=True):
            line = line.replace(directory, "")
        lines.append(_DIRECTORIES.sub("", line))
    if len(texts) > _MOST_LINES:
        lines.append(f"and {len(texts) - _MOST_LINES} more: see the log")
    return tuple(lines)


def _callers_listener(listen: ListenSettings) -> str:
    if listen.socket is not None:
        where = f"socket {masked_name(listen.socket.name)}"
    else:
        where = _address(listen.host, listen.port)
    if listen.tls_certificate is None:
        return where
    return f"{where}, {'mutual TLS' if listen.client_ca else 'TLS'}"


def _address(host: str, port: int) -> str:
    at = str(port) if port else "any free port"
    return f"[{host}]:{at}" if ":" in host else f"{host}:{at}"


def _rates(settings: Settings) -> str:
    limits = settings.limits
    if not limits.requests_per_second:
        return "none for tenants"
    counted = "each process by itself"
    if limits.storage is not None and not limits.storage.startswith("memory"):
        counted = "shared by all replicas"
    return f"{limits.requests_per_second:g} requests/s a tenant, {counted}"


def _circuit(settings: Settings) -> str:
    upstream = settings.upstream
    if not upstream.circuit_failure_ratio:
        return "never opens"
    return (
        f"opens at {upstream.circuit_failure_ratio:.0%} failures, {_s(upstream.circuit_open_for)}"
    )


def _stores(settings: Settings) -> str:
    tables = (name for name in STORE_TABLES if getattr(settings.vault, name) is not None)
    return ", ".join(tables) or "none"


def _trust(ca_file: Path | None, *, only: bool) -> str:
    if ca_file is None:
        return "public certificate authorities"
    name = masked_name(ca_file.name)
    return name if only else f"public certificate authorities and {name}"


def _in_flight(settings: Settings) -> str:
    limits = settings.limits
    each = limits.max_in_flight_per_tenant
    return f"{limits.max_in_flight:,}" + (f", {each:,} a tenant" if each else "")


def _size(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} B" if count else "no limit"


def _s(seconds: float) -> str:
    return f"{seconds:g} s"


_SHOWN: Final[tuple[tuple[str, Callable[[Settings], str]], ...]] = (
    ("Callers' listener", lambda s: _callers_listener(s.listen)),
    ("Admin listener", lambda s: _address(s.admin.host, s.admin.port)),
    ("Status page for", lambda s: ", ".join(("loopback", *s.admin.status_networks))),
    ("Upstream trust", lambda s: _trust(s.upstream.ca_file, only=s.upstream.ca_only)),
    ("File hosts", lambda s: ", ".join(s.upstream.file_hosts) or "none"),
    ("Tunnels", lambda s: "open" if s.tunnel.certificate is not None else "refused"),
    ("Connect, read timeout",
     lambda s: f"{_s(s.upstream.connect_timeout)}, {_s(s.upstream.read_timeout)}"),
    ("Retries", lambda s: f"at most {s.upstream.max_retries}"),
    ("Circuit", _circuit),
    ("Largest body", lambda s: _size(s.limits.max_body)),
    ("Requests in flight", _in_flight),
    ("Rate limits", _rates),
    ("Keys must be there at start", lambda s: "yes" if s.vault.strict else "no"),
    ("Key stores", _stores),
    ("Stores read again every", lambda s: _s(s.vault.refresh)),
    ("Drain", lambda s: f"{_s(s.listen.drain_delay)}, then {_s(s.listen.drain_timeout)}"),
    ("Log", lambda s: f"{s.log.level}, {s.log.format}"),
    ("Most metric series", lambda s: f"{s.metrics.max_series:,} a family"),
)  # fmt: skip


def callers(
    configured: Mapping[str, ShownCaller],
    policies: Mapping[str, CallerPolicy],
    history: History,
    offset: float,
) -> CallerSummary:
    """Those seen last first. `offset` makes seconds since the epoch of `perf_counter`'s."""
    usage = dict(history.usage)
    names = sorted(configured, key=lambda n: (-usage.get(n, _NEVER).last, n))
    rows = tuple(
        _caller(name, configured[name], policies[name], usage.get(name, _NEVER), offset)
        for name in names[:MOST]
    )
    return CallerSummary(len(names), usage.get("", _NEVER).requests, rows)


def issuers(
    settings: Settings, states: Sequence[IssuerState], recent_events: RecentEvents
) -> tuple[IssuerRow, ...]:
    """Each configured issuer, and how its keys stand."""
    remote = {state.issuer: state for state in states}
    return tuple(
        _issuer(issuer, remote.get(issuer.issuer), recent_events)
        for issuer in settings.issuers[:MOST]
    )


def _caller(
    name: str, shown: ShownCaller, policy: CallerPolicy, usage: Usage, offset: float
) -> CallerRow:
    tenants = policy.tenants.entries
    return CallerRow(
        name=masked_name(name),
        known_by=shown.known_by,
        tenants=tuple(map(masked_name, tenants[:_MOST_TENANTS])),
        more_tenants=max(0, len(tenants) - _MOST_TENANTS),
        allowed=shown.allowed,
        enforced=policy.enforce,
        requests=usage.requests,
        refused=usage.refused,
        failed=usage.failed,
        last_seen=usage.last + offset if usage.requests else None,
    )


def _issuer(issuer: Issuer, state: IssuerState | None, recent_events: RecentEvents) -> IssuerRow:
    refresh = recent_events.refreshes.get(issuer.issuer) if state else None
    return IssuerRow(
        issuer=masked(issuer.issuer),
        audience=masked(issuer.audience),
        keys=_keys(issuer),
        algorithms=", ".join(issuer.algorithms),
        state=_state(state),
        reason=refresh.reason if refresh else "",
        refreshed_at=refresh.at if refresh else None,
    )


def _state(state: IssuerState | None) -> Literal["ok", "pending", "failing"]:
    if state is not None and not state.tried:
        return "pending"
    return "ok" if state is None or state.healthy else "failing"


def _keys(issuer: Issuer) -> str:
    if issuer.jwks_file:
        return f"file {masked_name(issuer.jwks_file.name)}"
    if issuer.public_key_file:
        return f"file {masked_name(issuer.public_key_file.name)}"
    if issuer.secret:
        return "shared secret"
    return masked((issuer.jwks_url or "OpenID discovery").partition("?")[0])
