"""Hop-by-hop abuse: `Connection: Authorization` asks the proxy to drop the key.

The attacker names a field in `Connection`, which a proxy must then remove (RFC 9110 7.6.1). If it
removes after it has added its own fields, the request arrives without the key, without `Host`, or
without the proof of where it came from, and whatever lies behind may fail open.

Apache's mod_proxy lost `X-Forwarded-*` so (CVE-2022-31813), Go's ReverseProxy let a first empty
`Connection` hide others (CVE-2021-33197). The gateway removes first and adds last: nothing a client
names can suppress or double what is the gateway's own.

Cases 37 and 38.
"""

import pytest

from tests.support.world import KEY_A, World, request


@pytest.mark.parametrize(
    "named",
    ["Authorization", "Host", "Content-Length", "X-Request-Id", "Via", "authorization, close"],
)
def test_connection_cannot_name_what_is_ours(world: World, named: str) -> None:
    """The key, the framing and the gateway's marks are there, once."""
    raw = request("POST /x", f"Connection: {named}", "Content-Length: 1", body=b"Z")
    _, seen = world.passed(raw, "POST")
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    assert (seen.body, seen.all("host")) == (b"Z", [world.origin.authority])
    assert seen.get("via") == "1.1 invopop-gateway"
    assert len(seen.all("x-request-id")) == 1
    assert not seen.all("connection")


def test_connection_in_odd_forms(world: World) -> None:
    """Several lines, empty ones first, in any case: each names fields just the same."""
    raw = request("GET /x", "Connection: ", "Connection: X-Foo,,", "CONNECTION: x-bAR , keep-alive",
                  "X-Foo: 1", "x-Bar: 2")  # fmt: skip
    _, seen = world.passed(raw)
    assert not seen.all("x-foo") + seen.all("x-bar")
