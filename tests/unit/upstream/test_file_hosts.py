"""Where a file host's redirects lead for a client that asked by `/.files/HOST/PATH`."""

from urllib.parse import urljoin

import pytest

from gateway.model import Inbound, Peer
from gateway.upstream.file_hosts import with_own_location

GATEWAY = "http://gw:8585"


def inbound(target: bytes = b"/a/b?h=1", *, proxy_form: bool = False) -> Inbound:
    host = b"silo.invopop.com"
    path = b"/.files/" + host + target.partition(b"?")[0]
    return Inbound("GET", target, path, [], Peer(""), 0, "r", proxy_form, host)


def located(location: bytes, request: Inbound) -> bytes:
    headers = with_own_location([(b"x-a", b"1"), (b"location", location)], request)
    assert headers[0] == (b"x-a", b"1")
    return headers[1][1]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"https://silo.invopop.com/c?x=1#f", b"/.files/silo.invopop.com/c?x=1#f"),
        (b"https://SILO.invopop.com:443/c", b"/.files/silo.invopop.com/c"),
        (b"//silo.invopop.com/c", b"/.files/silo.invopop.com/c"),
        (b"/c", b"/.files/silo.invopop.com/c"),
        (b"c", b"/.files/silo.invopop.com/a/c"),
        (b"?h=2", b"/.files/silo.invopop.com/a/b?h=2"),
        (b"../../../silo/v1/entries", b"/.files/silo.invopop.com/silo/v1/entries"),
        (b"/\xc3\xa9 x", b"/.files/silo.invopop.com/%C3%A9%20x"),
        (b"https://silo.invopop.com", b"/.files/silo.invopop.com/"),
    ],
)
def test_back_to_the_same_host(location: bytes, expected: bytes) -> None:
    """It becomes a path of ours on the same host, so that the client's base URL still holds."""
    assert located(location, inbound()) == expected


@pytest.mark.parametrize(
    "location",
    [b"https://storage.invopop.com/c", b"http://silo.invopop.com/c", b"//evil.com/c",
     b"https://u@silo.invopop.com/c", b"https://silo.invopop.com:8443/c", b"http://gw:8585/x"],
)  # fmt: skip
def test_to_another_origin(location: bytes) -> None:
    """It passes as it is."""
    assert located(location, inbound()) == location


@pytest.mark.parametrize(
    "location",
    [b"/%2e%2e/%2e%2e/access/v1/workspace", b"%2e%2e/%2E%2E/%2e%2e/access", b"\\\\evil", b"/\\evil",
     b"\t/access",
     b"/..;/access", b"http:/access/v1/workspace", b"http:access", b"http:///access", b"/a//b",
     b"https:/access", b"https:///access", b"https:access", b"//[x/access", b"x:access",
     b"/.files/../access", b"https:\\\\silo.invopop.com/%2e%2e/%2e%2e/access"],
)  # fmt: skip
def test_never_to_invopop(location: bytes) -> None:
    """However a client reads it, following it does not leave `/.files/` for Invopop's paths."""
    found = located(location, inbound()).decode()
    own = urljoin(GATEWAY + "/.files/silo.invopop.com/a/b", found)
    assert own.startswith(("https://silo.invopop.com", GATEWAY + "/.files/silo.invopop.com/"))
    path = own.removeprefix(GATEWAY)
    assert "%2e" not in path.lower() or not own.startswith(GATEWAY)
    assert "\\" not in path or not own.startswith(GATEWAY)


@pytest.mark.parametrize("location", [b"/c", b"https://silo.invopop.com/c", b"../../x"])
def test_in_proxy_form_it_stays(location: bytes) -> None:
    """The client asked for the file's own URL: relative references hold there."""
    assert located(location, inbound(proxy_form=True)) == location
