"""Server-side request forgery: a target that names another server.

The attacker has a valid token and writes a whole URL as the request's target, `CONNECT`, a userinfo
before `@`, or another `Host`, so that the proxy connects elsewhere: to a server of theirs, which
then receives the tenant's key, or to the cloud's metadata address.

Proxies that build the outgoing URL from the incoming one follow (Apache mod_proxy, CVE-2021-40438;
Kettle, "Cracking the Lens", 2017). The gateway has one upstream, fixed in its configuration: a
target is only ever a path, another authority is 421, and `Host` is always the upstream's.

Cases 58 and 66.
"""

import pytest

from tests.support.world import World, request


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://evil.com/p", 421),
        ("http://evil.com", 421),
        ("http://evil.com?x=1", 421),
        ("http://169.254.169.254/latest/meta-data/", 421),
        ("http://localhost:1/p", 421),
        ("http://u:p@localhost/p", 400),
        ("https://u:p@evil.com:99/p", 400),
        ("http://gw/p", 421),
        ("ftp://localhost/p", 400),
        ("http://localhost.evil.com/p", 421),
        ("http://localhost:99999/p", 421),
        ("http:///p", 400),
    ],
)
def test_absolute_form_for_another_authority(world: World, target: str, status: int) -> None:
    """Only the upstream's own name is served; no other is looked up or called."""
    reply = world.exchange(request(f"GET {target}"))
    assert reply.status in {status, 400}
    assert reply.get("x-gateway-error") == ("misdirected" if reply.status == 421 else "bad_request")
    assert not world.origin.requests


@pytest.mark.parametrize("target", ["//evil.com/x", "/\\evil.com", "@evil.com/", "/%5c%5cevil"])
def test_another_authority_in_disguise(world: World, target: str) -> None:
    """What some URL parsers take for an authority is refused as a path."""
    world.refused(request(f"GET {target}"), 400, close=False)


@pytest.mark.parametrize("line", ["CONNECT evil:443", "CONNECT localhost:443", "CONNECT /"])
def test_no_tunnel(world: World, line: str) -> None:
    """CONNECT is 405, for whatever host."""
    reply = world.exchange(request(line))
    assert (reply.status, reply.get("x-gateway-error")) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "lines", [("Host: evil",), ("Host: localhost.evil:1",), ("Host: gw", "X-Host: evil"),
              ("Host: gw", "X-Forwarded-Host: evil")]
)  # fmt: skip
def test_host_is_the_upstreams(world: World, lines: tuple[str, ...]) -> None:
    """No name that a caller sends reaches the origin as its own."""
    _, seen = world.passed(request("GET /x", *lines, host=None))
    assert seen.all("host") == [world.origin.authority]
