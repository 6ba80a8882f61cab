"""The last of each kind of event."""

from gateway.admin.history import RecentEvents
from gateway.events import CircuitChanged, ConfigReloaded, Events, JwksRefreshed, UpstreamFailed


def told(*events: CircuitChanged | ConfigReloaded | JwksRefreshed | UpstreamFailed) -> RecentEvents:
    """A recent_events that heard these."""
    hub, recent_events = Events(), RecentEvents()
    recent_events.subscribe(hub)
    for event in events:
        hub.emit(event)
    return recent_events


def test_a_refused_reload_leaves_what_is_in_force() -> None:
    """Only one that took effect is in force since then."""
    refused = told(ConfigReloaded("failure", ("x",)))
    assert refused.reload is not None
    assert refused.in_force_since == refused.started_at
    taken = told(ConfigReloaded("failure", ("x",)), ConfigReloaded("success"))
    assert taken.reload is not None
    assert taken.in_force_since == taken.reload.at
    assert taken.reload.event.problems == ()


def test_the_circuits_last_change_is_known_with_its_reason() -> None:
    """Of several the newest; of none there is nothing."""
    assert told().circuit is None
    opened = CircuitChanged(open=True, reason="12 of 20 attempts failed")
    closed = CircuitChanged(open=False, reason="a probe succeeded")
    changed = told(opened, closed).circuit
    assert changed is not None
    assert changed.reason == "a probe succeeded"


def test_failed_attempts_are_counted_by_kind() -> None:
    """The most frequent first, and the last one's kind."""
    recent_events = told(*(UpstreamFailed(kind, "r") for kind in ("dns", "tls", "dns")))
    assert recent_events.failed_attempts.most_common() == [("dns", 2), ("tls", 1)]
    assert recent_events.last_failed_attempt is not None
    assert recent_events.last_failed_attempt.kind == "dns"


def test_issuers_of_many_configurations_do_not_pile_up() -> None:
    """What is kept is bounded."""
    recent_events = told(*(JwksRefreshed(f"https://{n}", "success") for n in range(1_500)))
    assert len(recent_events.refreshes) == 1_000
