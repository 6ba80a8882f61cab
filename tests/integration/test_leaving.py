"""A caller that leaves takes its request with it, at once, wherever that is."""

import pytest

from tests.support.gateway import eventually
from tests.support.world import World, fields, request

STREAM = fields("200 OK", "Transfer-Encoding: chunked")
LEAVE = ["reset", "close"]


def left(world: World, request_id: str) -> None:
    """The origin's connection is gone, and the exchange is told as 499, nobody's failure."""
    eventually(lambda: not world.origin.open_connections(), 6)
    record = world.gateway.exchange(request_id)
    assert record["status"] == 499
    assert world.gateway.metric("requests_in_flight") == 0


@pytest.mark.parametrize("leave", LEAVE)
def test_before_the_first_byte(world: World, leave: str) -> None:
    """Case 120: while the origin still thinks, its request is cancelled."""
    failures = world.gateway.metric("upstream_errors_total")
    gone = world.gateway.metric("client_disconnects_total")
    world.origin.silent()
    connection = world.connect()
    connection.send(request("GET /x", f"X-Request-Id: before-{leave}"))
    world.origin.eventually_started(1)
    getattr(connection, leave)()
    left(world, f"before-{leave}")
    assert world.gateway.metric("upstream_errors_total") == failures
    assert world.gateway.metric("client_disconnects_total") == gone + 1


@pytest.mark.parametrize("leave", LEAVE)
def test_between_head_and_body(world: World, leave: str) -> None:
    """Case 121: so it is when the head has come and no body yet."""
    with world.origin.holding(STREAM, b""):
        connection = world.connect()
        connection.send(request("GET /x", f"X-Request-Id: between-{leave}"))
        connection.until(b"\r\n\r\n")
        getattr(connection, leave)()
        left(world, f"between-{leave}")


@pytest.mark.parametrize("leave", LEAVE)
def test_within_a_stream(world: World, leave: str) -> None:
    """Case 122: and in the middle of a stream, also one that has nothing to say."""
    with world.origin.holding(STREAM + b"3\r\none\r\n", b""):
        connection = world.connect()
        connection.send(request("GET /x", f"X-Request-Id: within-{leave}"))
        connection.until(b"one")
        getattr(connection, leave)()
        left(world, f"within-{leave}")


@pytest.mark.parametrize("leave", ["reset", "finish"])
def test_with_a_reply_unread(world: World, leave: str) -> None:
    """Cases 71, 122: and while its own slowness holds the origin back."""
    size = 24 << 20
    sending = world.origin.sending(fields("200 OK", f"Content-Length: {size}"), size)
    connection = world.connect()
    connection.send(request("GET /x", f"X-Request-Id: unread-{leave}"))
    eventually(sending.blocked)
    getattr(connection, leave)()
    eventually(sending.failed, 6)
    left(world, f"unread-{leave}")


@pytest.mark.parametrize("leave", LEAVE)
def test_during_its_upload(world: World, leave: str) -> None:
    """Case 123: an upload that is broken off is broken off at the origin too."""
    connection = world.connect()
    connection.send(request("POST /x", f"X-Request-Id: upload-{leave}", "Content-Length: 70000"))
    connection.send(b"Z" * 65_536)  # with less, no connection is taken yet
    world.origin.eventually_started(1)
    getattr(connection, leave)()
    left(world, f"upload-{leave}")
    assert not [seen for seen in world.origin.requests if seen.complete]


def test_with_requests_behind_it(world: World) -> None:
    """Case 120: what was pipelined behind the abandoned request is not sent at all."""
    world.origin.silent()
    connection = world.connect()
    connection.send(request("GET /1") + request("GET /2") + request("GET /3"))
    world.origin.eventually_started(1)
    connection.reset()
    eventually(lambda: not world.origin.open_connections(), 6)
    assert [seen.target for seen in world.origin.requests] == [b"/1"]


def test_half_closed_caller(world: World) -> None:
    """A caller that ends its sending side is answered whole, or counted as one that left."""
    connection = world.connect()
    connection.send(request("GET /x", "Connection: close", "X-Request-Id: half"))
    connection.finish()
    assert connection.closed()
    told = world.gateway.exchange("half")["status"]
    assert told == (connection.reply().status if connection.received else 499)


def test_crowd_that_leaves(world: World) -> None:
    """Cases 120, 127: fifty who leave at once cost no slot: the next ones are served."""
    with world.origin.silence():
        crowd = [world.connect() for _ in range(50)]
        for connection in crowd:
            connection.send(request("GET /x"))
        world.origin.eventually_started(50)
        for connection in crowd:
            connection.reset()
        eventually(lambda: not world.origin.open_connections(), 6)
    assert [world.get("/after").status for _ in range(5)] == [200] * 5
