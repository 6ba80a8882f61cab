"""The observers of one process: metrics, logs, audit log, traces and the status page's history.

Law: subscribes and reads; nothing here changes how a request fares. The audit log and the traces
are opened once, before anything is served, and closed after everything.
"""

import os
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final

from gateway import __version__
from gateway.admin.health import ComponentHealth, Health
from gateway.admin.history import History, RecentEvents
from gateway.admin.overview import Overview, StatusSources
from gateway.errors import ConfigurationError, GatewayFault, Problem, with_file
from gateway.events import EndOfTurn, Events
from gateway.model import Exchange
from gateway.network.tls import client_context
from gateway.observe.access_log import AccessLog
from gateway.observe.audit import AuditLog, taken
from gateway.observe.audit_file import AuditFile, open_append
from gateway.observe.logs import Logger
from gateway.observe.metrics import Metrics
from gateway.observe.tracing import Tracer
from gateway.secret import Secret
from gateway.services import Services
from gateway.settings.key_sources import KeySource
from gateway.settings.load import Loaded
from gateway.settings.schema import AuditSettings, Settings, TracingSettings
from gateway.upstream.transport import Transport

RETRY_AFTER: Final = (b"retry-after", b"1")
_MISSING: Final = "the extra `otel`: pip install 'invopop-gateway[otel]'"

Resolve = Callable[[KeySource, str, str], Awaitable[Secret]]


class Observers:
    """What tells of one process: `observe` at once, `watch` and `overview` once it is wired."""

    def __init__(self, settings: Settings, logger: Logger) -> None:
        self.metrics = Metrics(settings.metrics.max_series)
        self.health = Health()
        self.audit_and_traces = AuditAndTraces(settings, logger)
        self._history = History()
        self._recent_events = RecentEvents()
        self._logger = logger
        self._access_log = AccessLog(logger, settings.log.sample_success)

    def observe(self, events: Events) -> None:
        """Lets every observer hear of what happens from now on."""
        told = EndOfTurn(events)
        self.metrics.subscribe(told)
        self._logger.subscribe(told)
        self._access_log.subscribe(told)
        self._history.subscribe(told)
        self._recent_events.subscribe(told)

    def watch(self, services: Services, transport: Callable[[], Transport]) -> None:
        """Lets gauges and health checks read what the services know, whenever they are asked."""
        watch = self.metrics.watch
        self.metrics.watch_expiries(services.vault.expiries)
        watch("requests_in_flight", lambda: services.permits.in_flight)
        watch("circuit_open", lambda: services.sender.circuit_open)
        watch("audit_failing", lambda: bool(self.audit_and_traces.trouble()))
        for state in ("active", "idle", "waiting"):
            watch("upstream_connections", partial(_pooled, transport, state), state)
        self.health.components = {
            "vault": partial(_vault_health, services),
            "issuers": partial(_issuers_health, services),
        }
        if self.audit_and_traces.has_audit:
            self.health.components["audit"] = lambda: ComponentHealth(
                True, self.audit_and_traces.trouble()
            )

    def overview(
        self, services: Services, transport: Callable[[], Transport], loaded: Callable[[], Loaded]
    ) -> Overview:
        """What the status page shows, read whenever it is asked for."""
        return Overview(
            StatusSources(
                health=self.health,
                history=self._history,
                recent_events=self._recent_events,
                services=services,
                transport=transport,
                loaded=loaded,
            )
        )


def _vault_health(services: Services) -> ComponentHealth:
    failing = services.vault.failing()
    trouble = ", ".join(f"{kind} {word}" for kind, word in sorted(failing.items()))
    return ComponentHealth(services.vault.tried(), trouble)


def _issuers_health(services: Services) -> ComponentHealth:
    states = services.authenticator.issuers()
    away = [state.issuer for state in states if not state.healthy]
    trouble = f"keys of {', '.join(away)} not refreshed" if away else ""
    return ComponentHealth(all(state.tried for state in states), trouble)


def _pooled(transport: Callable[[], Transport], state: str) -> int:
    return sum(getattr(pool, state) for pool in transport().pools)


class AuditAndTraces:
    """What `[audit]` and `[tracing]` ask for."""

    def __init__(self, settings: Settings, logger: Logger) -> None:
        self._audit = settings.audit
        self._tracing = settings.tracing
        self._logger = logger
        self._headers: dict[str, str] = {}
        self._file: AuditFile | None = None
        self._close: list[Callable[[], None]] = []

    @property
    def has_audit(self) -> bool:
        """Whether there is an audit log."""
        return self._audit.file is not None

    async def problems(self, file: str, resolve: Resolve) -> list[Problem]:
        """Why they could not be opened, as far as can be seen without; reads their secrets."""
        problems = with_file([*_of_audit(self._audit), *_of_tracing(self._tracing)], file)
        for name, source in self._tracing.headers.items():
            try:
                secret = await resolve(source, file, f"tracing.headers.{name}")
                self._headers[name] = secret.reveal()
            except ConfigurationError as error:
                problems += error.problems
        return problems

    def open(self, services: Services, events: Events) -> None:
        """From now on what happens is told here too. Raises `ConfigurationError`."""
        if self._audit.file is not None:
            self._open_audit(self._audit.file, services, events)
        if self._tracing.endpoint is not None:
            from gateway.observe.otlp import Otlp  # noqa: PLC0415 - needs the extra

            otlp = Otlp(self._tracing, self._headers, self._logger.log)
            self._close.append(otlp.close)
            services.tracer = Tracer(self._tracing.sample_ratio, otlp.put)
            services.tracer.subscribe(events)

    def close(self) -> None:
        """Writes and exports what is waiting, each for some seconds at most."""
        while self._close:
            self._close.pop()()

    def reopen(self) -> None:
        """Goes on in a new audit file if the old one has been renamed or removed."""
        if self._file is not None:
            self._file.reopen()

    def trouble(self) -> str:
        """What is wrong with the audit log, in a few words; "" if nothing is."""
        if self._file is not None:
            return self._file.trouble()
        lost = self._logger.dropped if self._audit.on_stdout else 0
        return f"{lost} lines lost: nobody reads stdout" if lost else ""

    def _open_audit(self, path: Path, services: Services, events: Events) -> None:
        write = self._logger.write_line
        if not self._audit.on_stdout:
            try:
                self._file = AuditFile(path, self._logger.log)
            except OSError as error:
                raise ConfigurationError([_unwritable(path, error)]) from None
            write = self._file.write
            self._close.append(self._file.close)
            if self._audit.write_before_forward:
                services.record_before_send = self._record_before_send
        log = AuditLog(write)
        log.tell("started", {"pid": os.getpid(), "version": __version__})
        log.subscribe(events)
        self._close.append(lambda: log.tell("stopped", {"pid": os.getpid()}))

    async def _record_before_send(self, x: Exchange) -> None:
        if self._file is None or not await self._file.written(taken(x)):
            detail = "What cannot be recorded is not sent."
            raise GatewayFault("audit_unavailable", detail, headers=(RETRY_AFTER,))


def _of_audit(audit: AuditSettings) -> list[Problem]:
    path = audit.file
    if path is None or audit.on_stdout:
        return []
    try:
        os.close(open_append(path, create=False))
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK | os.X_OK):
            return [Problem("", "audit.file", f'"{path}"', "a file in a directory to write to")]
    except OSError as error:
        return [_unwritable(path, error)]
    return []


def _unwritable(path: Path, error: OSError) -> Problem:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return Problem("", "audit.file", f'"{path}": {reason}', "a regular file to append to")


def _of_tracing(tracing: TracingSettings) -> list[Problem]:
    if tracing.endpoint is None:
        return []
    problems = []
    try:
        import_module("gateway.observe.otlp")
    except ModuleNotFoundError:
        problems.append(Problem("", "tracing.endpoint", "an OTLP receiver", _MISSING))
    if tracing.ca_file is not None:
        try:
            client_context(tracing.ca_file, ca_only=True)
        except (OSError, ssl.SSLError):
            expected = "a readable PEM file of certificates"
            problems.append(Problem("", "tracing.ca_file", f'"{tracing.ca_file}"', expected))
    return problems
