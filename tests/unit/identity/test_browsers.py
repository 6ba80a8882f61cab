"""What may come from a web page: by the fields of browsers, and by names that strangers can own."""

import pytest

from gateway.identity.browsers import sign_of_a_page
from gateway.model import Inbound, Peer

LOCAL = Peer("127.0.0.1")


def judged(host: bytes | None, *fields: bytes, peer: Peer = LOCAL, proxy_form: bool = False) -> str:
    """The verdict on a request for that host."""
    headers = [(name, b"x") for name in fields]
    headers += [] if host is None else [(b"host", host)]
    inbound = Inbound("GET", b"/", b"/", headers, peer, 0, "id", proxy_form=proxy_form)
    return sign_of_a_page(inbound, frozenset({b"api.invopop.com", b"gw.corp.example"}))


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
            "browser_field",
        ),
        (b"Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko)", "browser_field"),
        (b"curl/8.5.0", ""),
        (b"Go-http-client/1.1", ""),
        (b"billing/1.0 (not Mozilla/5.0)", ""),
    ],
)
def test_what_calls_itself_a_browser(agent: bytes, sign: str) -> None:
    """An image of a page on plain HTTP is asked for without any other field of browsers."""
    headers = [(b"host", b"10.0.0.5:8585"), (b"user-agent", agent)]
    inbound = Inbound("GET", b"/", b"/", headers, Peer("10.0.0.7"), 0, "id", proxy_form=False)
    assert sign_of_a_page(inbound, frozenset()) == sign


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
