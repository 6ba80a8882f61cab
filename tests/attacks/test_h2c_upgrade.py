"""h2c smuggling: an upgrade that turns the proxy into a pipe.

The attacker sends `Upgrade: h2c`. A proxy that passes the offer on, and then copies bytes in both
directions, no longer looks at what goes through: every further request on that connection escapes
its authentication, its policy and its log (Bishop Fox, "h2c Smuggling", 2020).

RFC 9113 3.1 has withdrawn the upgrade. The gateway ignores every `Upgrade`: the request is served
as HTTP/1.1 with its body, and the next one on the connection is authenticated like any other.

Case 27.
"""

import pytest

from tests.support.world import World, request

UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMA")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BODIES = {
    "sized": ("Content-Length: 3", b"abc"),
    "chunked": ("Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("framing", BODIES)
def test_an_upgrade_is_ignored(world: World, framing: str, later: bool) -> None:
    """An offer of h2c costs neither the body nor the next request, and goes no further."""
    field, body = BODIES[framing]
    connection = world.connect()
    head = request("POST /x", *UPGRADE, field)
    if later:
        connection.send(head)
        connection.send(body)
    else:
        connection.send(head + body)
    assert connection.reply("POST").status == 200
    connection.send(request("GET /next"))
    assert connection.reply().status == 200
    first, second = world.origin.requests
    assert (first.method, first.body, second.target) == ("POST", b"abc", b"/next")
    for name in ("upgrade", "http2-settings", "connection"):
        assert not first.all(name)


def test_nothing_is_tunnelled_after_an_upgrade(world: World) -> None:
    """What follows is HTTP/1.1 to us: an HTTP/2 preface is refused, a stranger's request is 401."""
    connection = world.connect()
    connection.send(request("GET /x", *UPGRADE) + request("GET /hidden", token=None))
    assert [connection.reply().status for _ in range(2)] == [200, 401]
    world.origin.start_over()
    connection = world.connect()
    connection.send(request("GET /x", *UPGRADE) + PREFACE)
    assert connection.reply().status == 200
    assert connection.rest()[9:12] in {b"", b"400", b"405", b"505"}
    assert [seen.target for seen in world.origin.requests] == [b"/x"]


def test_a_websocket_is_plain_http(world: World) -> None:
    """A websocket handshake is served as the GET that it is."""
    offer = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    _, seen = world.passed(request("GET /x", *offer))
    assert not seen.all("upgrade")
