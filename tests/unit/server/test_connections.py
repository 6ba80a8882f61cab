"""Connections are counted in all and by peer; what is refused is counted, and logged sparsely."""

import pytest

from gateway.events import ConnectionRefused, Event, Noticed
from gateway.server.connections import OpenConnections, per_peer


class Connection:
    """An open connection."""

    def close_if_idle(self) -> None:
        """Not called here."""

    retire = abort = close_if_idle


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def connections(events: list[Event]) -> OpenConnections:
    return OpenConnections("callers", events.append, lambda: 1000.0)


def open_one(connections: OpenConnections, peer: str, most: int, most_per_peer: int) -> bool:
    """Whether one more was admitted."""
    if not connections.admits(peer, most, most_per_peer):
        return False
    connections.add(Connection(), peer)
    return True


def test_each_limit_has_its_reason(connections: OpenConnections, events: list[Event]) -> None:
    """One peer has its share, all together have the whole; 0 limits nothing."""
    assert [open_one(connections, "10.0.0.1", 3, 2) for _ in range(3)] == [True, True, False]
    assert [open_one(connections, f"10.0.0.{n}", 3, 2) for n in (2, 3)] == [True, False]
    assert [event for event in events if isinstance(event, ConnectionRefused)] == [
        ConnectionRefused("callers", "max_connections_per_peer"),
        ConnectionRefused("callers", "max_connections"),
    ]
    assert open_one(connections, "10.0.0.1", 0, 0)


def test_a_closed_connection_makes_room(connections: OpenConnections) -> None:
    """For its own peer; one that was never added changes nothing."""
    held = Connection()
    connections.add(held, "10.0.0.1")
    assert not connections.admits("10.0.0.1", 0, 1)
    connections.discard(held)
    connections.discard(held)
    assert connections.admits("10.0.0.1", 0, 1)
    assert len(connections) == 0
    assert connections._by_peer == {}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("unix:1000", "unix:1001", False),
        ("unix:1000", "unix:1000", True),
    ],
)
def test_who_counts_as_one_peer(
    connections: OpenConnections, one: str, other: str, same: bool
) -> None:
    """An address, the /64 of an IPv6 address, a user of the Unix socket."""
    connections.add(Connection(), one)
    assert connections.admits(other, 0, 1) is not same


def test_a_flood_is_one_line(connections: OpenConnections, events: list[Event]) -> None:
    """However often it is refused: who, where and why."""
    connections.add(Connection(), "10.0.0.1")
    for _ in range(1000):
        connections.admits("10.0.0.1", 1, 0)
    assert [(e.name, e.level, e.fields) for e in events if isinstance(e, Noticed)] == [
        (
            "connections_refused",
            "warning",
            {"listener": "callers", "peer": "10.0.0.1", "reason": "max_connections"},
        )
    ]
    assert len(events) == 1001


def test_a_share_is_kept_for_other_peers() -> None:
    """Three quarters, unless it is configured; never less than one; no limit has no share."""
    assert [per_peer(0, most) for most in (2048, 32, 4, 2, 1, 0)] == [1536, 24, 3, 2, 1, 0]
    assert per_peer(7, 2048) == 7
