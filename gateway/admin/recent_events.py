"""The last of each kind of event that is not an exchange: reloads, key sets, circuit, attempts.

Law: remembers one of each, and counts; every name in it is configured or from a closed list.
"""

import time
from collections import Counter
from typing import Final, NamedTuple

from gateway.errors import UpstreamErrorKind
from gateway.events import CircuitChanged, ConfigReloaded, Events, JwksRefreshed, UpstreamFailed

_MOST_ISSUERS: Final = 1_000


class Reload(NamedTuple):
    """A reload that was tried at `at` (seconds since the epoch)."""

    at: float
    event: ConfigReloaded


class Refresh(NamedTuple):
    """A fetch of an issuer's keys; `reason` says why it failed, "" if it did not."""

    at: float
    reason: str


class LastCircuitChange(NamedTuple):
    """When the circuit last opened or closed, and why."""

    at: float
    reason: str


class LastAttempt(NamedTuple):
    """The last attempt at Invopop that failed."""

    at: float
    kind: UpstreamErrorKind


class RecentEvents:
    """What happened last; times are seconds since the epoch."""

    def __init__(self) -> None:
        self.started_at = time.time()
        self.in_force_since = self.started_at
        self.reload: Reload | None = None
        self.refreshes: dict[str, Refresh] = {}
        self.circuit: LastCircuitChange | None = None
        self.failed_attempts: Counter[str] = Counter()
        self.last_failed_attempt: LastAttempt | None = None

    def subscribe(self, events: Events) -> None:
        """Remembers from now on."""
        events.subscribe(ConfigReloaded, self._reloaded)
        events.subscribe(JwksRefreshed, self._refreshed)
        events.subscribe(CircuitChanged, self._circuit_changed)
        events.subscribe(UpstreamFailed, self._attempt_failed)

    def _reloaded(self, event: ConfigReloaded) -> None:
        self.reload = Reload(time.time(), event)
        if event.outcome == "success":
            self.in_force_since = self.reload.at

    def _refreshed(self, event: JwksRefreshed) -> None:
        if event.issuer in self.refreshes or len(self.refreshes) < _MOST_ISSUERS:
            reason = event.reason if event.outcome == "failure" else ""
            self.refreshes[event.issuer] = Refresh(time.time(), reason)

    def _circuit_changed(self, event: CircuitChanged) -> None:
        self.circuit = LastCircuitChange(time.time(), event.reason)

    def _attempt_failed(self, event: UpstreamFailed) -> None:
        self.failed_attempts[event.kind] += 1
        self.last_failed_attempt = LastAttempt(time.time(), event.kind)
