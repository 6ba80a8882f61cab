"""What a caller may ask of the connection itself: Expect, Upgrade, pipelines, empty bodies."""

import pytest

from tests.support.gateway import eventually
from tests.support.world import World, request

GARBAGE = b"GARBAGE\r\n\r\n"


def test_garbage_behind_a_request(world: World) -> None:
    """Case 26: the answer before it is whole; the refusal comes after it, or the close."""
    connection = world.connect()
    connection.send(request("GET /x") + GARBAGE)
    first = connection.reply()
    assert (first.status, first.complete) == (200, True)
    assert connection.rest_is_refusal_or_close()


def test_garbage_while_a_reply_streams(world: World) -> None:
    """Case 26: nothing is ever written into the middle of another reply's body."""
    with world.origin.holding(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n",
                              b"3\r\ntwo\r\n0\r\n\r\n") as held:  # fmt: skip
        connection = world.connect()
        connection.send(request("GET /slow"))
        connection.until(b"one")
        connection.send(GARBAGE)
        held.release()
        reply = connection.reply()
    assert b"400" not in reply.body
    assert reply.body in {b"onetwo", b"one"}
    assert reply.complete == (reply.body == b"onetwo")
    assert connection.rest_is_refusal_or_close()


def test_expect_and_refused(world: World) -> None:
    """Case 29: a refusal comes without `100 Continue`, and the connection ends with it."""
    connection = world.connect()
    connection.send(request("POST /x", "Expect: 100-continue", "Content-Length: 50", token="wrong"))
    reply = connection.reply("POST")
    assert (reply.status, reply.interim, reply.get("connection")) == (401, [], "close")
    connection.send(request("GET /next"), lenient=True)
    assert connection.closed()
    assert not world.origin.requests


@pytest.mark.parametrize("value", ["100-continue", "100-cOntInUE"])
def test_expect_and_served(world: World, value: str) -> None:
    """Case 30: `100 Continue` is said once, here; the origin is asked for nothing."""
    connection = world.connect()
    connection.send(request("POST /x", f"Expect: {value}", "Content-Length: 3"))
    connection.until(b"HTTP/1.1 100 ")
    connection.send(b"abc")
    reply = connection.reply("POST")
    assert (reply.status, reply.interim) == (200, [100])
    (seen,) = world.origin.requests
    assert (seen.body, seen.all("expect")) == (b"abc", [])


def test_expect_with_the_body_at_hand(world: World) -> None:
    """Case 30: a caller that has begun to send its body is not asked for it."""
    connection = world.connect()
    connection.send(request("POST /x", "Expect: 100-continue", "Content-Length: 6", body=b"abc"))
    eventually(lambda: world.gateway.metric("requests_in_flight") == 1)
    connection.send(b"def")
    reply = connection.reply("POST")
    assert (reply.status, reply.interim) == (200, [])
    assert world.origin.requests[0].body == b"abcdef"


@pytest.mark.parametrize("value", ["a-pony", "100-continue, a-pony"])
def test_unknown_expectation(world: World, value: str) -> None:
    """Case 30: another expectation is 417."""
    world.refused(request("POST /x", f"Expect: {value}", "Content-Length: 3"), 417)


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_body_where_none_is_usual(world: World, method: str) -> None:
    """Case 32: a body goes along with any method, framed as it came."""
    _, seen = world.passed(request(f"{method} /x", "Content-Length: 3", body=b"abc"), method)
    assert (seen.method, seen.body, seen.get("content-length")) == (method, b"abc", "3")


def test_head_with_a_body(world: World) -> None:
    """Case 32: also with HEAD."""
    _, seen = world.passed(request("HEAD /x", "Content-Length: 3", body=b"abc"), "HEAD")
    assert seen.body == b"abc"


@pytest.mark.parametrize("fields", [(), ("Content-Length: 0",)])
def test_post_without_a_body(world: World, fields: tuple[str, ...]) -> None:
    """Case 33: it stays a POST with a body of length 0, never a chunked one."""
    _, seen = world.passed(request("POST /x", *fields), "POST")
    assert (seen.all("content-length"), seen.all("transfer-encoding")) == (["0"], [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_get_without_a_body(world: World, method: str) -> None:
    """Case 33: nothing about a body is added."""
    _, seen = world.passed(request(f"{method} /x"), method)
    assert (seen.all("content-length"), seen.all("transfer-encoding")) == ([], [])


def test_chunked_stays_chunked(world: World) -> None:
    """Case 69: a body of unknown length goes up as chunks."""
    raw = request("PATCH /x", "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n0\r\n\r\n")
    _, seen = world.passed(raw, "PATCH")
    assert (seen.body, seen.all("content-length")) == (b"abc", [])
    assert seen.all("transfer-encoding") == ["chunked"]


def test_http_1_0(world: World) -> None:
    """Case 104: an HTTP/1.0 caller gets no chunks, and its connection is closed after the reply."""
    world.origin.answer(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    connection = world.connect()
    connection.send(request("GET /x", host=None).replace(b"HTTP/1.1", b"HTTP/1.0"))
    reply = connection.reply()
    assert (reply.status, reply.body, reply.all("transfer-encoding")) == (200, b"abc", [])
    assert connection.closed()


def test_http_1_0_with_chunks(world: World) -> None:
    """Case 104: a transfer coding on HTTP/1.0 is faulty framing (RFC 9112 section 6.1)."""
    raw = request("POST /x", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")
    world.refused(raw.replace(b"HTTP/1.1", b"HTTP/1.0", 1), 400)
