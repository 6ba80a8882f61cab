"""Algorithm confusion: a token that says itself how it wants to be checked.

The attacker knows the issuer's public key, as everyone does. They write a token with `alg: none`;
or `alg: HS256`, signed with the text of the public key as if it were a shared secret; or sign with
a key of their own under the name of another algorithm.

Libraries that let the token choose have accepted each of these (jsonwebtoken CVE-2015-9235, PyJWT
CVE-2022-29217; RFC 8725 2.1). The gateway's configuration says which algorithms an issuer uses, and
each key is of one kind: every forgery is 401, in the one shape that a missing token has.

Case 146.
"""

import pytest

from tests.attacks.callers import shape
from tests.support import forgeries
from tests.support.world import World, request

pytestmark = pytest.mark.usefixtures("fresh")
ID = "X-Request-Id: attack"


@pytest.mark.parametrize("name", forgeries.CASE_146)
def test_forged(world: World, name: str) -> None:
    """401, nothing learnt, nothing sent."""
    raw = request("GET /x", ID, token=forgeries.CASE_146[name](world.issuer))
    answer = shape(world, raw)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer == shape(world, request("GET /x", ID, token=None))
    assert not world.origin.requests


def test_the_same_token_unforged(world: World) -> None:
    """What the forgeries are made from is served: they fail for what is forged in them."""
    lawful = forgeries.lawful(world.issuer)
    assert world.get("/x", token=world.issuer.token(lawful)).status == 200
    assert world.get("/x", token=world.issuer.forged(forgeries.HEADER, lawful)).status == 200
