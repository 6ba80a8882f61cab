"""Where the status is read: what observers gathered, and the components as they are now."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.admin.health import Health
from gateway.admin.history import History, RecentEvents
from gateway.admin.shown_callers import ShownCaller
from gateway.services import Services
from gateway.settings.load import Loaded
from gateway.upstream.transport import Transport


@dataclass(frozen=True, slots=True)
class StatusSources:
    """All of them, each read whenever the status is asked for."""

    health: Health
    history: History
    recent_events: RecentEvents
    services: Services
    transport: Callable[[], Transport]
    loaded: Callable[[], Loaded]
    callers: Callable[[], Mapping[str, ShownCaller]]
    certificates: Mapping[str, Callable[[], float]]  # setting -> when its certificate expires

    @property
    def networks(self) -> tuple[str, ...]:
        """The peers beside loopback that may see the status."""
        return self.loaded().settings.admin.status_networks
