"""Time and failure: slow callers are let go, slow or failing origins are told from broken ones."""

import time

import pytest

from tests.support.gateway import eventually
from tests.support.world import KEY_A, World, fields, request

OK = fields("200 OK", "Content-Length: 2") + b"ok"


def test_silent_connection(quick: World) -> None:
    """Case 106: a connection on which nothing is said is closed without a word."""
    connection = quick.connect()
    assert connection.closed(timeout=5)
    assert connection.received == b""


def test_crlf_keeps_nothing_open(quick: World) -> None:
    """Case 23: empty lines are no request: they neither cancel nor postpone a deadline."""
    connection = quick.connect()
    connection.send(request("GET /x"))
    assert connection.reply().status == 200
    started = time.monotonic()
    while not connection.closed(timeout=0.1):
        connection.send(b"\r\n", lenient=True)
        assert time.monotonic() - started < 6


def test_idle_connection(quick: World) -> None:
    """Case 109: between requests, an idle connection ends without a byte."""
    connection = quick.connect()
    connection.send(request("GET /x"))
    assert connection.reply().status == 200
    before = len(connection.received)
    assert connection.closed(timeout=5)
    assert len(connection.received) == before


@pytest.mark.parametrize("body", [b"", b"abc"])
def test_stalled_body(quick: World, body: bytes) -> None:
    """Case 107: a body that stands still is 408, and the origin's half is given up."""
    connection = quick.connect()
    connection.send(request("POST /x", "Content-Length: 1000", body=body))
    reply = connection.reply("POST")
    assert (reply.status, reply.get("x-gateway-error")) == (408, "request_timeout")
    assert connection.closed()
    eventually(lambda: not quick.origin.open_connections())
    assert not [seen for seen in quick.origin.requests if seen.complete]


def test_slow_body_that_moves(quick: World) -> None:
    """Case 107: one that moves takes as long as it takes."""
    connection = quick.connect()
    connection.send(request("POST /x", "Content-Length: 4"))
    for byte in b"abcd":
        time.sleep(0.3)  # the pause is the case: together longer than body_timeout
        connection.send(bytes([byte]))
    assert connection.reply("POST").status == 200


def test_caller_that_does_not_read(quick: World) -> None:
    """Cases 71, 108: after `write_timeout` it is cut off, and the origin with it."""
    sending = quick.origin.sending(fields("200 OK", f"Content-Length: {64 << 20}"), 64 << 20)
    connection = quick.connect()
    connection.send(request("GET /x"))
    eventually(sending.failed, 10)
    assert not connection.reply(timeout=5).complete


def test_origin_that_never_answers(quick: World) -> None:
    """Case 111: 504 after `read_timeout`; the connection is not used again; nothing is resent."""
    quick.origin.silent()
    reply = quick.get("/x")
    assert (reply.status, reply.get("x-gateway-error")) == (504, "upstream_timeout")
    eventually(lambda: not quick.origin.open_connections())
    assert len(quick.origin.requests) == 1


def test_origin_that_stalls_in_a_body(quick: World) -> None:
    """Case 113: a reply that stops moving is cut off, never ended."""
    with quick.origin.holding(fields("200 OK", "Content-Length: 10") + b"abc", b""):
        reply = quick.get("/x")
        assert (reply.status, reply.complete, reply.body) == (200, False, b"abc")


def test_trickle_of_interim_replies(quick: World) -> None:
    """Case 92: 1xx replies do not stretch the wait for the final one."""
    quick.origin.answer(b"HTTP/1.1 103 Early Hints\r\n\r\n", end="drip")
    started = time.monotonic()
    reply = quick.get("/x")
    assert reply.status in {502, 504}
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("end", ["reset", "close", "abort"])
@pytest.mark.parametrize("reused", [False, True])
def test_no_post_is_sent_twice(world: World, end: str, reused: bool) -> None:
    """Case 114: whatever became of it, a POST that went out goes out once."""
    if reused:
        world.get("/warm")
    world.origin.answer(b"", end=end)
    reply = world.exchange(request("POST /x", "Content-Length: 3", body=b"abc"), "POST")
    assert reply.status == 502
    assert reply.get("x-gateway-error") in {"upstream_unreachable", "upstream_protocol_error"}
    posts = [seen for seen in world.origin.requests if seen.method == "POST"]
    assert len(posts) == 1


def test_get_survives_a_stale_connection(world: World) -> None:
    """Cases 114, 115: a kept connection found closed is replaced, unseen by the caller."""
    world.get("/warm")
    world.origin.answer(b"", end="close")
    assert world.get("/x").status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_keep_alive_race(world: World, method: str) -> None:
    """Case 115: an origin that closes idle connections costs no GET, and doubles no POST."""
    sent = 60
    statuses = []
    for number in range(sent):
        world.origin.answer(OK, end="close" if number % 2 else "keep")
        raw = request(f"{method} /{number}", *(["Content-Length: 0"] if method == "POST" else []))
        statuses.append(world.exchange(raw, method).status)
    targets = [seen.target for seen in world.origin.requests if seen.method == "POST"]
    assert len(targets) == len(set(targets))
    failed = [status for status in statuses if status != 200]
    assert set(failed) <= (set() if method == "GET" else {502})
    assert len(failed) <= sent // 4


def test_origin_that_is_away(world: World) -> None:
    """Case 116: no connection is 502, with Invopop's shape and without its address."""
    with world.origin.away():
        reply = world.exchange(request("POST /x", "Content-Length: 0"), "POST")
    assert (reply.status, reply.get("x-gateway-error")) == (502, "upstream_unreachable")
    assert world.origin.authority.encode() not in reply.body
    assert world.get("/back").status == 200


def test_flapping_origin(world: World) -> None:
    """Case 119: half the answers are resets, and nothing leaks; the rest is served."""
    outcomes = []
    for number in range(100):
        world.origin.answer(b"" if number % 2 else OK, end="reset" if number % 2 else "keep")
        raw = request(f"POST /{number}", "Content-Length: 0")
        outcomes.append(world.exchange(raw, "POST").status)
    assert outcomes.count(200) >= 50
    assert set(outcomes) <= {200, 502}
    assert len(world.origin.requests) == 100


@pytest.mark.parametrize("value", ["0", "-1", "abc", "", "1e3", "nan", "inf", "+1", "1 1"])
def test_malformed_deadline(world: World, value: str) -> None:
    """`X-Request-Timeout` is a positive decimal, or 400."""
    world.refused(request("GET /x", f"X-Request-Timeout: {value}"), 400, close=False)


def test_callers_own_deadline(world: World) -> None:
    """The caller's deadline bounds the wait, and is not passed on."""
    world.origin.silent()
    started = time.monotonic()
    reply = world.get("/x", "X-Request-Timeout: 0.3")
    assert (reply.status, reply.get("x-gateway-error")) == (504, "upstream_timeout")
    assert time.monotonic() - started < 2
    assert not world.origin.requests[0].all("x-request-timeout")
    assert KEY_A.encode() not in reply.body
