"""Who may see the status, and under which names."""

import pytest

from gateway.admin.app import NOT_BY_NAME, NOT_YOUR_NETWORK, refusal

NETWORKS = ("10.1.0.0/16", "fd00:1::/32")


@pytest.mark.parametrize(
    "peer",
    ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3",
     "fd00:1::5"],
)  # fmt: skip
def test_near_peers_may(peer: str) -> None:
    """Loopback and the configured networks, in either spelling of an IPv4 address."""
    assert refusal(peer, "127.0.0.1:9585", NETWORKS) == ""


@pytest.mark.parametrize(
    "peer",
    ["10.2.0.1", "192.168.1.1", "::ffff:10.2.0.1", "fd00:2::1", "fe80::1%eth0", "0.0.0.0", "::",
     "", "localhost", "unix", "127.0.0.1.evil.example"],
)  # fmt: skip
def test_other_peers_may_not(peer: str) -> None:
    """Whoever is elsewhere, or cannot be told to be near."""
    assert refusal(peer, "127.0.0.1:9585", NETWORKS) == NOT_YOUR_NETWORK


def test_without_networks_only_this_machine_may() -> None:
    """The default lets nobody else in."""
    assert refusal("10.1.2.3", "localhost", ()) == NOT_YOUR_NETWORK
    assert refusal("127.0.0.1", "localhost", ()) == ""


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:9585", "127.0.0.1", "127.0.0.1:9585", "10.1.2.3:80", "[::1]",
     "[::1]:9585", "[2001:db8::1]", "127.0.0.1:"],
)  # fmt: skip
def test_addresses_and_localhost_are_no_names(host: str) -> None:
    """What no attacker can point elsewhere."""
    assert refusal("127.0.0.1", host, ()) == ""


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "evil.example:9585", "127.0.0.1.evil.example", "localhost.evil.example",
     "evil.localhost", "localhost.", "127.0.0.1.", "127.1", "2130706433", "0x7f.0.0.1",
     "0177.0.0.1", "::1", "[::1", "[::1]evil.example", "[evil.example]", "[127.0.0.1]",
     "[fe80::1%25eth0]", "localhost@evil.example", "evil.example@localhost", "localhost:80:80",
     "localhost:x", "localhost evil", "127.0.0.1, evil.example", "١٢٧.0.0.1", "localhost\n"],
)  # fmt: skip
def test_names_are_refused(host: str) -> None:
    """DNS rebinding: a name that leads here may have led to its attacker's page before."""
    assert refusal("127.0.0.1", host, ()) == NOT_BY_NAME
