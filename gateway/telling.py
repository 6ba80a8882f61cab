"""Who is told what: the observers of one process, and what they read of its rooms.

Law: subscribes and reads; nothing here changes how a request fares.
"""

from collections.abc import Callable
from functools import partial

from gateway.admin.chronicle import Chronicle
from gateway.admin.health import Finding, Health
from gateway.admin.history import History
from gateway.admin.overview import Overview, Sources
from gateway.events import EndOfTurn, Events
from gateway.observe.access_log import AccessLog
from gateway.observe.logs import Logger
from gateway.observe.metrics import Metrics
from gateway.outlets import Outlets
from gateway.rooms import Rooms
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings
from gateway.upstream.transport import Transport


class Telling:
    """What tells of one process: `observe` at once, `watch` and `overview` once it is wired."""

    def __init__(self, settings: Settings, logger: Logger) -> None:
        self.metrics = Metrics(settings.metrics.max_series)
        self.health = Health()
        self.outlets = Outlets(settings, logger)
        self._history = History()
        self._chronicle = Chronicle()
        self._logger = logger
        self._access_log = AccessLog(logger, settings.log.sample_success)

    def observe(self, events: Events) -> None:
        """Lets every observer hear of what happens from now on."""
        told = EndOfTurn(events)
        self.metrics.subscribe(told)
        self._logger.subscribe(told)
        self._access_log.subscribe(told)
        self._history.subscribe(told)
        self._chronicle.subscribe(told)

    def watch(self, rooms: Rooms, transport: Callable[[], Transport]) -> None:
        """Lets gauges and health checks read what the rooms know, whenever they are asked."""
        watch = self.metrics.watch
        self.metrics.watch_expiries(rooms.vault.expiries)
        watch("requests_in_flight", lambda: rooms.permits.in_flight)
        watch("circuit_open", lambda: rooms.sender.circuit_open)
        watch("audit_failing", lambda: bool(self.outlets.trouble()))
        for state in ("active", "idle", "waiting"):
            watch("upstream_connections", partial(_pooled, transport, state), state)
        self.health.rooms = {
            "vault": partial(_vault_health, rooms),
            "issuers": partial(_issuers_health, rooms),
        }
        if self.outlets.has_audit:
            self.health.rooms["audit"] = lambda: Finding(True, self.outlets.trouble())

    def overview(
        self, rooms: Rooms, transport: Callable[[], Transport], loaded: Callable[[], Loaded]
    ) -> Overview:
        """What the status page shows, read whenever it is asked for."""
        return Overview(
            Sources(self.health, self._history, self._chronicle, rooms, transport, loaded)
        )


def _vault_health(rooms: Rooms) -> Finding:
    failing = rooms.vault.failing()
    trouble = ", ".join(f"{kind} {word}" for kind, word in sorted(failing.items()))
    return Finding(rooms.vault.tried(), trouble)


def _issuers_health(rooms: Rooms) -> Finding:
    states = rooms.authenticator.issuers()
    away = [state.issuer for state in states if not state.healthy]
    trouble = f"keys of {', '.join(away)} not refreshed" if away else ""
    return Finding(all(state.tried for state in states), trouble)


def _pooled(transport: Callable[[], Transport], state: str) -> int:
    return sum(getattr(pool, state) for pool in transport().pools)
