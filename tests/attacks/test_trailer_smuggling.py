"""Trailer smuggling: fields behind the body that pretend to be in front of it.

The attacker has a valid token and sends a chunked body with trailer fields: another tenant, another
`Host`, another `Authorization`. Checks have been made by then; whoever merges trailers into the
header section acts on fields that nobody has looked at.

RFC 9110 6.5.1 lets trailers be merged only where a field's definition allows it; parsers have got
even reading them wrong (Tomcat, CVE-2023-46589). The gateway reads trailers strictly and drops
them: they never become headers, and no credential in one is ever seen.

Case 13.
"""

import pytest

from tests.support.gateway import eventually
from tests.support.world import KEY_A, TOK_A, World, request

CHUNKED = "Transfer-Encoding: chunked"
TRAILERS = (
    b"Authorization: Bearer EVIL\r\nX-Invopop-Tenant: globex\r\nHost: evil\r\n"
    b"Connection: authorization\r\nX-Forwarded-For: 6.6.6.6\r\nX-Kept: no\r\n\r\n"
)


@pytest.mark.parametrize("late", [False, True])
def test_trailers_are_dropped(world: World, late: bool) -> None:
    """No trailer field becomes a header, sent at once or late."""
    connection = world.connect()
    start = request("POST /x", CHUNKED, body=b"1\r\nZ\r\n0\r\n")
    if late:
        connection.send(start)
        eventually(lambda: world.gateway.metric("requests_in_flight") == 1)
        connection.send(TRAILERS)
    else:
        connection.send(start + TRAILERS)
    assert connection.reply("POST").status == 200
    (seen,) = world.origin.requests
    assert (seen.body, seen.all("authorization")) == (b"Z", [f"Bearer {KEY_A}"])
    for name in ("x-invopop-tenant", "x-forwarded-for", "x-kept", "trailer"):
        assert not seen.all(name)
    assert seen.all("host") == [world.origin.authority]


def test_a_credential_in_a_trailer_is_none(world: World) -> None:
    """A caller is known by its header section only."""
    trailer = f"0\r\nAuthorization: Bearer {TOK_A}\r\n\r\n".encode()
    raw = request("POST /x", CHUNKED, token=None, body=b"1\r\nZ\r\n" + trailer)
    assert world.exchange(raw, "POST").status == 401
    assert not world.origin.requests
