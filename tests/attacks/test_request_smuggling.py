"""Request smuggling: two lengths for one body (CL.TE, TE.CL, CL.CL).

The attacker has one valid token of their own. They send one request that states its body's length
twice, by `Content-Length` and by `Transfer-Encoding`, or by two lengths. If the proxy believes one
and the server behind it the other, the rest of the body is read as the next request on the shared
connection, and the next tenant's answer goes astray.

Naive proxies pick one of the two and pass both on (Twisted, CVE-2020-10108 and CVE-2020-10109). The
gateway refuses what has two lengths (RFC 9112 6.1, 6.3), closes, and sends nothing up.

Cases 1 and 2.
"""

import pytest

from tests.support.world import World, request

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gw\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
ATTACKS = {
    "CL.TE": ("Content-Length: 5", CHUNKED, b"0\r\n\r\n"),
    "TE.CL": (CHUNKED, "Content-Length: 5", b"0\r\n\r\n"),
    "CL.TE, a whole request behind": (
        "Content-Length: 41", "Transfer-Encoding: identity,chunked", b"0\r\n\r\n" + SMUGGLED,
    ),
    "CL.CL": ("Content-Length: 1", "Content-Length: 38", b"Z" + SMUGGLED),
    "CL.CL, equal": ("Content-Length: 1", "Content-Length: 1", b"Z"),
    "CL.CL, in other letters": ("content-length: 1", "Content-Length: 1", b"Z"),
    "CL, CL": ("Content-Length: 1, 1", "X: y", b"Z"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_two_lengths(world: World, name: str) -> None:
    """400, the connection is closed, and the origin sees nothing of it."""
    first, second, body = ATTACKS[name]
    world.refused(request("POST /x", first, second, body=body), 400)
