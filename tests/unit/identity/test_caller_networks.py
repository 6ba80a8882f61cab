"""`networks`: the caller behind an address or a Unix socket."""

import pytest

from gateway.identity.networks import Networks
from gateway.model import Peer

CALLERS = {
    "wide": ["10.0.0.0/8", "2001:db8::/32"],
    "narrow": ["10.1.0.0/16", "2001:db8:1::/48"],
    "host": ["10.1.2.3/32"],
    "sidecar": ["127.0.0.1/32"],
    "socket": ["unix"],
    "uid": ["unix:1000"],
}
PEERS = {
    "widest": (Peer("10.200.0.1"), "wide"),
    "narrower": (Peer("10.1.200.1"), "narrow"),
    "narrowest": (Peer("10.1.2.3"), "host"),
    "neighbour": (Peer("10.1.2.4"), "narrow"),
    "IPv6": (Peer("2001:db8:2::1"), "wide"),
    "IPv6, narrower": (Peer("2001:db8:1::1"), "narrow"),
    "IPv4 on a dual-stack socket": (Peer("::ffff:127.0.0.1"), "sidecar"),
    "the same in hex": (Peer("::ffff:7f00:1"), "sidecar"),
    "with a scope": (Peer("2001:db8::1%eth0"), "wide"),
    "elsewhere": (Peer("192.0.2.1"), None),
    "IPv6 loopback": (Peer("::1"), None),
    "IPv4-compatible": (Peer("::127.0.0.1"), None),
    "next to loopback": (Peer("127.0.0.2"), None),
    "no address": (Peer("localhost"), None),
    "leading zeros": (Peer("127.0.0.01"), None),
    "uid": (Peer("", 1000), "uid"),
    "another uid": (Peer("", 1001), "socket"),
    "root": (Peer("", 0), "socket"),
    "unmapped uid": (Peer("", 65534), None),
    "uid -1": (Peer("", 2**32 - 1), None),
    "unknown uid": (Peer("", None), None),
}


@pytest.mark.parametrize("name", PEERS)
def test_peers(name: str) -> None:
    """The most specific network decides, also at the second look; a doubtful peer matches none."""
    peer, caller = PEERS[name]
    networks = Networks(CALLERS)
    assert networks.find(peer) == caller
    assert networks.find(peer) == caller


def test_uid_alone() -> None:
    """`unix:1000` is that uid's and nobody else's."""
    networks = Networks({"uid": ["unix:1000"]})
    assert networks.find(Peer("", 1000)) == "uid"
    assert networks.find(Peer("", 100)) is None


def test_without_networks() -> None:
    """Where nothing is configured, nobody is known by where they are."""
    for peer in (Peer("127.0.0.1"), Peer("", 0), Peer("::1")):
        assert Networks({"billing": []}).find(peer) is None


def test_memory_is_bounded() -> None:
    """Peers from ever new addresses do not fill the memory."""
    networks = Networks({"all": ["0.0.0.0/0"]})
    for number in range(10_000):
        assert networks.find(Peer(f"10.0.{number // 256}.{number % 256}")) == "all"
        assert len(networks._remembered) <= 4096
