"""The observers of one process: metrics, logs, audit log, traces and the status page's history.

They subscribe and read; nothing here changes how a request fares. The audit log and the traces are
opened once, before anything is served, and closed after everything.
"""

from collections.abc import Callable, Mapping
from functools import partial

from gateway.admin.health import ComponentHealth, Health
from gateway.admin.history import History, RecentEvents
from gateway.admin.shown_callers import ShownCaller
from gateway.admin.sources import StatusSources
from gateway.errors import Problem, with_file
from gateway.events import BatchingEvents, ConfigReloaded, Events
from gateway.observe.access_log import AccessLog
from gateway.observe.audit import AuditLog
from gateway.observe.logs import Logger
from gateway.observe.metrics import PrometheusMetrics
from gateway.observe.tracing import Resolve, TraceExport
from gateway.services import Services
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings
from gateway.settings.wording import masked
from gateway.upstream.transport import Transport

ReadExpiry = Callable[[], float]  # in seconds since 1970; NaN: there is none


class Observers:
    """All of them. `subscribe` at once, `watch` and `status_sources` once the services are made.

    Of the settings that they need, none takes effect again on a reload.
    """

    def __init__(self, settings: Settings, logger: Logger) -> None:
        self.metrics = PrometheusMetrics(settings.metrics.max_series)
        self.health = Health()
        self._history = History()
        self._recent_events = RecentEvents()
        self._certificates: dict[str, ReadExpiry] = {}
        self._logger = logger
        self._access_log = AccessLog(logger, settings.log.sample_success)
        self._audit = AuditLog(settings.audit, logger)
        dropped = self.metrics.child("spans_dropped_total")
        self._traces = TraceExport(settings.tracing, logger, dropped.inc)

    def subscribe(self, events: Events) -> None:
        """From now on metrics, logs and history are made of what happens."""
        batching = BatchingEvents(events)
        events.subscribe(ConfigReloaded, self._reloaded)
        self.metrics.subscribe(batching)
        self._logger.subscribe(batching)
        self._access_log.subscribe(batching)
        self._history.subscribe(batching)
        self._recent_events.subscribe(batching)

    async def problems(self, file: str, resolve: Resolve) -> list[Problem]:
        """Why audit log and traces could not be opened; reads the secrets that they need."""
        problems = [*self._audit.problems(), *await self._traces.problems(file, resolve)]
        return with_file(problems, file)

    def open(self, services: Services, events: Events) -> None:
        """From now on there are audit lines and traces, if configured.

        Raises `ConfigurationError` if the audit log's file cannot be written.
        """
        self._audit.open(events)
        if self._audit.precedes:
            services.record_before_send = self._audit.record_before_send
        services.tracer = self._traces.open(events)

    def reopen(self) -> None:
        """The audit log goes on in a new file if its old one has been renamed or removed."""
        self._audit.reopen()

    def close(self) -> None:
        """Exports and writes what is waiting, each for some seconds at most."""
        self._access_log.close()
        self._traces.close()
        self._audit.close()

    def watch(self, services: Services, transport: Callable[[], Transport]) -> None:
        """Lets gauges and health checks read what the services know, whenever they are asked."""
        watch = self.metrics.watch
        self.metrics.watch_expiries(services.vault.expiries, services.vault.issued)
        watch("requests_in_flight", lambda: services.permits.in_flight)
        watch("circuit_open", lambda: services.sender.circuit_open)
        watch("rate_storage_up", lambda: not _rates_away(services))
        watch("audit_failing", lambda: bool(self._audit.trouble()))
        for state in ("active", "idle", "waiting"):
            watch("upstream_connections", partial(_pooled, transport, state), state)
        self.health.components = {
            "vault": partial(_vault_health, services),
            "issuers": partial(_issuers_health, services),
            "rate_storage": partial(_rates_health, services),
        }
        if self._traces.configured:
            self.health.components["traces"] = self._traces_health
        if self._audit.configured:
            self.health.components["audit"] = self._audit_health

    def watch_certificate(self, listener: str, setting: str, expires_at: ReadExpiry) -> None:
        """Lets the expiry of the certificate that a setting names be read, likewise."""
        self.metrics.watch("certificate_expiry_timestamp_seconds", expires_at, listener)
        self._certificates[setting] = expires_at

    def status_sources(
        self,
        services: Services,
        transport: Callable[[], Transport],
        loaded: Callable[[], Loaded],
        callers: Callable[[], Mapping[str, ShownCaller]],
    ) -> StatusSources:
        """What the status is read from, whenever it is asked for."""
        return StatusSources(
            health=self.health,
            history=self._history,
            recent_events=self._recent_events,
            services=services,
            transport=transport,
            loaded=loaded,
            callers=callers,
            certificates=self._certificates,
        )

    def _reloaded(self, event: ConfigReloaded) -> None:
        self.health.reload_refused = event.outcome == "failure"

    def _traces_health(self) -> ComponentHealth:
        return ComponentHealth(tried=True, trouble=self._traces.trouble())

    def _audit_health(self) -> ComponentHealth:
        return ComponentHealth(tried=True, trouble=self._audit.trouble())


def _rates_away(services: Services) -> bool:
    return services.shared_rates is not None and services.shared_rates.away


def _rates_health(services: Services) -> ComponentHealth | None:
    rates = services.shared_rates
    if rates is None:
        return None
    then = "each process counts alone" if rates.fail_open else "limited requests are refused"
    return ComponentHealth(
        tried=True, trouble=f"unavailable ({rates.why}): {then}" if rates.away else ""
    )


def _vault_health(services: Services) -> ComponentHealth:
    failing = services.vault.failing()
    trouble = ", ".join(f"{kind} {word}" for kind, word in sorted(failing.items()))
    return ComponentHealth(services.vault.tried(), trouble)


def _issuers_health(services: Services) -> ComponentHealth:
    states = services.authenticator.issuers()
    away = [state.issuer for state in states if not state.healthy]
    trouble = f"keys of {', '.join(map(masked, away))} not refreshed" if away else ""
    return ComponentHealth(all(state.tried for state in states), trouble)


def _pooled(transport: Callable[[], Transport], state: str) -> int:
    return sum(getattr(pool, state) for pool in transport().pools)
