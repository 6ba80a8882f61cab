"""Key injection: a token that brings its own key, or says where to fetch it.

The attacker signs with a key of their own and points to it: in the header itself (`jwk`, `x5c`), at
a URL (`jku`, `x5u`), or through a `kid` that is a path, an SQL fragment or a shell command.

A verifier that follows believes the attacker (node-jose, CVE-2018-0114), fetches any URL for them,
or opens a file (RFC 8725 3.10). To the gateway a `kid` is a name in the issuer's own key set and
nothing else; the other members are not looked at, `crit` is refused, and nothing is fetched.

Case 147.
"""

import pytest

from tests.attacks.callers import shape
from tests.support import forgeries
from tests.support.world import World, request

pytestmark = pytest.mark.usefixtures("fresh")
ID = "X-Request-Id: attack"
LARGEST_HEAD = 32768


@pytest.mark.parametrize("name", forgeries.CASE_147)
def test_injected(world: World, name: str) -> None:
    """401 as without a token, or 431 where the head is too large to be read at all."""
    raw = request("GET /x", ID, token=forgeries.CASE_147[name](world.issuer))
    answer = shape(world, raw)
    if len(raw) > LARGEST_HEAD:
        assert answer.startswith(b"HTTP/1.1 431 ")
    else:
        assert answer == shape(world, request("GET /x", ID, token=None))
        assert answer.startswith(b"HTTP/1.1 401 ")
    assert not world.origin.requests


def test_nothing_is_fetched(world: World) -> None:
    """The origin is called by nobody, though it is the very server that a token's header names."""
    world.origin.forget()
    url = f"https://{world.origin.authority}/jwks.json"
    for member in ("jku", "x5u"):
        forged = forgeries.own_key(**{member: url})(world.issuer)
        assert world.get("/x", token=forged).status == 401
    assert not world.origin.ever_connected
