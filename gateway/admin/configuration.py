"""The configuration in force as rows for the status page. Pure.

Law: each setting is named here; of files only the name is told, of secrets nothing.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.admin.recent_events import RecentEvents
from gateway.admin.view import Configuration, Setting
from gateway.settings.key_sources import STORE_TABLES
from gateway.settings.load import Loaded
from gateway.settings.schema import ListenSettings, Settings

_MOST_LINES: Final = 20
# The directories of an absolute path: `/etc/gateway/` in `/etc/gateway/vault.toml`, none in a URL.
_DIRECTORIES: Final = re.compile(r"(?<![\w:/.])/(?:[^\s\"':;,/]+/)+")


def configuration(loaded: Loaded, recent_events: RecentEvents) -> Configuration:
    """What is in force, since when, and how the last reload ended."""
    reload = recent_events.reload
    return Configuration(
        file=loaded.file.name,
        vault=loaded.vault_path.name,
        in_force_since=recent_events.in_force_since,
        reload=reload.event.outcome if reload else "",
        reload_at=reload.at if reload else None,
        problems=_lines(loaded, reload.event.problems if reload else ()),
        restart_required=reload.event.restart_required if reload else (),
        warnings=_lines(loaded, loaded.warnings),
        settings=tuple(Setting(name, value(loaded.settings)) for name, value in _SHOWN),
    )


def _lines(loaded: Loaded, texts: tuple[str, ...]) -> tuple[str, ...]:
    """At most some, with files by their names alone."""
    known = {str(loaded.file.parent) + "/", str(loaded.vault_path.parent) + "/"} - {"/"}
    lines = []
    for text in texts[:_MOST_LINES]:
        told = text
        for directory in sorted(known, key=len, reverse=True):
            told = told.replace(directory, "")
        lines.append(_DIRECTORIES.sub("", told))
    if len(texts) > _MOST_LINES:
        lines.append(f"and {len(texts) - _MOST_LINES} more: see the log")
    return tuple(lines)


def _callers_listener(listen: ListenSettings) -> str:
    if listen.socket is not None:
        where = f"socket {listen.socket.name}"
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
    return ca_file.name if only else f"public certificate authorities and {ca_file.name}"


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
