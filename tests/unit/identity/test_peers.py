"""`peers`: the caller behind a certificate, an address or a Unix socket; signs of a page."""

import pytest

from gateway.identity.peers import Certificates, Networks, browser_sign
from gateway.model import Inbound, Peer

CERTIFICATES = {
    "billing": ["spiffe://prod/billing", "billing.internal"],
    "ledger": ["spiffe://prod/ledger"],
}
SANS: dict[str, tuple[tuple[str, ...] | None, tuple[str, ...] | None, str | None]] = {
    "URI": (("spiffe://prod/billing",), (), "billing"),
    "DNS": ((), ("billing.internal",), "billing"),
    "one of several": (("https://x", "spiffe://prod/ledger"), ("x.internal",), "ledger"),
    "two names of one caller": (("spiffe://prod/billing",), ("billing.internal",), "billing"),
    "two callers": (("spiffe://prod/billing", "spiffe://prod/ledger"), (), None),
    "two callers, two kinds": (("spiffe://prod/ledger",), ("billing.internal",), None),
    "prefix": (("spiffe://prod/billin",), (), None),
    "longer": (("spiffe://prod/billing/x",), (), None),
    "case": (("spiffe://prod/Billing",), (), None),
    "trailing dot": ((), ("billing.internal.",), None),
    "wildcard": ((), ("*.internal",), None),
    "URI as DNS": ((), ("spiffe://prod/billing",), None),
    "DNS as URI": (("billing.internal",), (), None),
    "nothing": ((), (), None),
    "no certificate": (None, None, None),
}


@pytest.mark.parametrize("name", SANS)
def test_certificates(name: str) -> None:
    """A name matches whole, in its own kind; a certificate of two callers is nobody's."""
    uris, dns_names, caller = SANS[name]
    assert Certificates(CERTIFICATES).find(Peer("10.0.0.1", None, uris, dns_names)) == caller


NETWORKS = {
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
def test_networks(name: str) -> None:
    """The most specific network decides, also at the second look; a doubtful peer matches none."""
    peer, caller = PEERS[name]
    networks = Networks(NETWORKS)
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


LOCAL = Peer("127.0.0.1")


def judged(host: bytes | None, *fields: bytes, peer: Peer = LOCAL, proxy_form: bool = False) -> str:
    """The verdict on a request for that host."""
    headers = [(name, b"x") for name in fields]
    headers += [] if host is None else [(b"host", host)]
    inbound = Inbound("GET", b"/", b"/", headers, peer, 0, "id", proxy_form=proxy_form)
    return browser_sign(inbound, frozenset({b"api.invopop.com", b"gw.corp.example"}))


@pytest.mark.parametrize("field", [b"origin", b"sec-fetch-site"])
def test_fields_of_browsers(field: bytes) -> None:
    """Whatever their value, and over whatever the request came."""
    assert judged(b"localhost", field) == "browser_field"
    assert judged(None, field, peer=Peer("")) == "browser_field"
    assert not judged(b"localhost", b"referer")


@pytest.mark.parametrize(
    ("agent", "sign"),
    [
        (
            b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "user_agent",
        ),
        (b"Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko)", "user_agent"),
        (b"curl/8.5.0", ""),
        (b"Go-http-client/1.1", ""),
        (b"billing/1.0 (not Mozilla/5.0)", ""),
    ],
)
def test_what_calls_itself_a_browser(agent: bytes, sign: str) -> None:
    """An image of a page on plain HTTP is asked for without any other field of browsers."""
    headers = [(b"host", b"10.0.0.5:8585"), (b"user-agent", agent)]
    inbound = Inbound("GET", b"/", b"/", headers, Peer("10.0.0.7"), 0, "id", proxy_form=False)
    assert browser_sign(inbound, frozenset()) == sign


OURS = [
    b"127.0.0.1", b"127.0.0.1:8585", b"[::1]", b"[::1]:8585", b"localhost", b"LOCALHOST:8585",
    b"gateway", b"gateway:80", b"gw.localhost", b"gateway.invoicing.svc", b"gateway.local:8585",
    b"gateway.invoicing.svc.cluster.local", b"gateway.internal.", b"api.invopop.com",
    b"API.invopop.com:443", b"gw.corp.example", b"GW.corp.example:8585", b"",
]  # fmt: skip


@pytest.mark.parametrize("host", OURS)
def test_names_that_no_stranger_can_own(host: bytes) -> None:
    """Addresses, names within a network, Invopop's own, and those that the operator lists."""
    assert not judged(host)


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example", b"evil.example:8585", b"evil.example.", b"a.evil.example",
        b"local.evil.io", b"127.0.0.1.evil.io", b"api.invopop.com.evil.io", b"xapi.invopop.com",
        b"internal.io", b"corp.example", b"a.gw.corp.example", b".evil.io", b"1.2.3.4.5",
    ],
)  # fmt: skip
def test_names_that_a_stranger_can_own(host: bytes) -> None:
    """A page of such a name may have had it resolve to us."""
    assert judged(host) == "host_name"


def test_where_no_browser_is() -> None:
    """In proxy form, over a Unix socket, and without Host: names say nothing there."""
    assert not judged(b"evil.example", proxy_form=True)
    assert not judged(b"evil.example", peer=Peer("", uid=1000))
    assert not judged(None)
