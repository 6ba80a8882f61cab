"""Response queue poisoning: an answer that nobody asked for, left for the next tenant.

The attacker makes the server send more than one answer for a request, by a smuggled request, by a
body where none can be, or by a late 408. Connections are shared: what is left over on one is read
as the answer to the next request, which is another tenant's (Kettle, "HTTP/2: The Sequel is Always
Worse", 2021; CWE-444).

Pools that put a connection back without looking hand it on. The gateway gives a connection back
only if the reply ended where its framing says and nothing lies behind; what comes later ends it.

Cases 87, 88, 89, 101 and 102.
"""

import pytest

from tests.support.gateway import eventually
from tests.support.world import KEY_A, KEY_B, TOK_A, TOK_B, World, fields, request

OK = fields("200 OK", "Content-Length: 2") + b"ok"
CHUNKED = fields("200 OK", "Transfer-Encoding: chunked") + b"2\r\nok\r\n0\r\n\r\n"
POISON = fields("200 OK", "Content-Length: 6") + b"POISON"
EXTRA = {
    "a whole reply": (POISON, False),
    "bytes": (b"XX", False),
    "chunked": (
        fields("200 OK", "Transfer-Encoding: chunked") + b"6\r\nPOISON\r\n0\r\n\r\n",
        False,
    ),
    "later": (POISON, True),
    "a 408 later": (fields("408 Timeout", "Connection: close", "Content-Length: 0"), True),
}


@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.parametrize("answer", [OK, CHUNKED], ids=["sized", "chunked"])
def test_reply_nobody_asked_for(world: World, name: str, answer: bytes) -> None:
    """What is left over on a connection is nobody's answer, and ends it."""
    extra, later = EXTRA[name]
    if later:
        with world.origin.holding(answer, extra) as held:
            assert world.get("/a", token=TOK_A).body == b"ok"
            held.release()
            held.wait_sent()
            eventually(lambda: not world.origin.open_connections())
    else:
        world.origin.answer(answer + extra)
        assert world.get("/a", token=TOK_A).body == b"ok"
    second = world.get("/b", token=TOK_B)
    assert (second.status, second.body) == (200, world.origin.echo)
    a, b = world.origin.requests
    assert a.connection != b.connection
    keys = [seen.get("authorization") for seen in (a, b)]
    assert keys == [f"Bearer {KEY_A}", f"Bearer {KEY_B}"]


BODILESS = {
    "HEAD with a body": ("HEAD", fields("200 OK", "Content-Length: 6") + b"POISON"),
    "HEAD with chunks": (
        "HEAD", fields("200 OK", "Transfer-Encoding: chunked") + b"6\r\nPOISON\r\n0\r\n\r\n",
    ),
    "204 with a length": ("GET", fields("204 No Content", "Content-Length: 6") + b"POISON"),
    "204 with chunks": (
        "GET",
        fields("204 No Content", "Transfer-Encoding: chunked") + b"6\r\nPOISON\r\n0\r\n\r\n",
    ),
    "304 with a body": ("GET", fields("304 Not Modified", "Content-Length: 6") + b"POISON"),
}  # fmt: skip


@pytest.mark.parametrize("name", BODILESS)
def test_a_body_where_none_can_be(world: World, name: str) -> None:
    """Such bytes are never passed on nor taken for a reply."""
    method, answer = BODILESS[name]
    world.origin.answer(answer)
    connection = world.connect()
    connection.send(request(f"{method} /x"))
    reply = connection.reply(method)
    if reply.status == 502:
        assert reply.get("x-gateway-error") == "upstream_protocol_error"
    else:
        assert (reply.status, reply.body) == (int(answer[9:12]), b"")
    assert b"POISON" not in connection.received
    second = world.get("/b", token=TOK_B)
    assert (second.status, second.body) == (200, world.origin.echo)
    assert world.origin.requests[1].connection != world.origin.requests[0].connection
