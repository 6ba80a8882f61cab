"""What the origin may answer, lawful and not, and what of it the caller sees."""

import pytest

from tests.support.gateway import eventually
from tests.support.world import World, fields, request

OK = fields("200 OK", "Content-Length: 2") + b"ok"


def broken(world: World, answer: bytes, end: str = "keep") -> None:
    """The answer is a 502 of ours with a body, and its connection is not used again."""
    world.origin.answer(answer, end=end)
    reply = world.exchange(request("POST /x", "Content-Length: 0"), "POST")
    assert (reply.status, reply.get("x-gateway-error")) == (502, "upstream_protocol_error")
    assert reply.body
    eventually(lambda: not world.origin.open_connections())
    assert len(world.origin.requests) == 1


@pytest.mark.parametrize("framing", ["Content-Length: 1234", "Transfer-Encoding: chunked"])
def test_head(world: World, framing: str) -> None:
    """Case 87: a reply to HEAD has its length and no body; the connection goes on."""
    world.origin.answer(fields("200 OK", framing))
    connection = world.connect()
    connection.send(request("HEAD /x"))
    reply = connection.reply("HEAD")
    assert (reply.status, reply.body) == (200, b"")
    if framing.startswith("Content"):
        assert reply.get("content-length") == "1234"
    connection.send(request("GET /next"))
    assert (connection.reply().status, world.origin.requests[1].target) == (200, b"/next")


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 0", None])
def test_204(world: World, framing: str | None) -> None:
    """Case 88: no framing field and not one byte of body (RFC 9110 section 8.6)."""
    end = b"0\r\n\r\n" if framing and "chunked" in framing else b""
    world.origin.answer(fields("204 No Content", *([framing] if framing else [])) + end)
    connection = world.connect()
    connection.send(request("DELETE /x") + request("GET /next"))
    reply = connection.reply("DELETE")
    assert reply.status == 204
    assert not reply.all("content-length") + reply.all("transfer-encoding")
    assert connection.reply().status == 200


def test_304(world: World) -> None:
    """Case 89: its validators and length pass, without a body; the connection goes on."""
    world.origin.answer(fields("304 Not Modified", "Content-Length: 500", 'ETag: "e"'))
    connection = world.connect()
    connection.send(request("GET /x", 'If-None-Match: "e"'))
    reply = connection.reply("HEAD")
    assert (reply.status, reply.get("etag")) == (304, '"e"')
    assert reply.all("content-length") in ([], ["500"])
    connection.send(request("GET /next"))
    assert connection.reply().status == 200


def test_205(world: World) -> None:
    """Case 90: an empty reply is framed as one."""
    world.origin.answer(fields("205 Reset Content", "Content-Length: 0"))
    reply = world.get("/x")
    assert (reply.status, reply.body, reply.complete) == (205, b"", True)


def test_interim_replies_are_skipped(world: World) -> None:
    """Cases 92, 95: a few 1xx, asked for or not, do not disturb the final reply."""
    world.origin.answer(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK
    )
    reply = world.get("/x")
    assert (reply.status, reply.body) == (200, b"ok")
    assert not reply.all("link")


def test_flood_of_interim_replies(world: World) -> None:
    """Case 92: 2,000 of them are a broken reply."""
    broken(world, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2000 + OK)


def test_interim_reply_then_nothing(world: World) -> None:
    """Case 93: a 103 is no answer."""
    broken(world, b"HTTP/1.1 103 Early Hints\r\n\r\n", end="close")


def test_switching_protocols(world: World) -> None:
    """Case 95: 101 was never asked for."""
    broken(world, fields("101 Switching Protocols", "Connection: upgrade", "Upgrade: h2c"))


@pytest.mark.parametrize(
    "status", ["600", "999", "099", "000", "20", "2000", "abc", "-20", "", "1"]
)
def test_impossible_status(world: World, status: str) -> None:
    """Case 96: outside 100 to 599 there is no status."""
    broken(world, b"HTTP/1.1 %s OK\r\nContent-Length: 2\r\n\r\nok" % status.encode())


@pytest.mark.parametrize("status", ["299", "418", "451", "599", "500", "401"])
def test_unusual_status(world: World, status: str) -> None:
    """Case 96: within it any passes; a 401 too, if Invopop takes the key elsewhere."""
    world.origin.answer(fields(f"{status} Odd", "Content-Length: 2") + b"ok")
    reply = world.exchange(request("POST /x", "Content-Length: 0"), "POST")
    assert (reply.status, reply.get("x-gateway-error")) == (int(status), None)


BROKEN = {
    "98 length and chunks": fields("200 OK", "Content-Length: 3", "Transfer-Encoding: chunked")
    + b"5\r\nabcde\r\n0\r\n\r\n",
    "99 two lengths": fields("200 OK", "Content-Length: 2", "Content-Length: 3") + b"ok",
    "99 signed": fields("200 OK", "Content-Length: +2") + b"ok",
    "99 list": fields("200 OK", "Content-Length: 1, 2") + b"ok",
    "99 gzip, chunked": fields("200 OK", "Transfer-Encoding: gzip, chunked")
    + b"2\r\nok\r\n0\r\n\r\n",
    "99 twice chunked": fields("200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
    + b"2\r\nok\r\n0\r\n\r\n",
    "99 chunked on 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nok\r\n0\r\n\r\n",
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/0.9": b"<html>ok</html>",
    "bare LF": OK.replace(b"\r\n", b"\n"),
    "folded": fields("200 OK", "X: y\r\n z", "Content-Length: 2") + b"ok",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_reply(world: World, name: str) -> None:
    """Cases 98, 99: ambiguous framing is never guessed at."""
    broken(world, BROKEN[name], end="close" if name in UNENDING else "keep")


UNENDING = {"garbage", "HTTP/0.9", "bare LF"}  # heads that would never end by themselves


def test_status_line_without_a_reason(world: World) -> None:
    """An empty reason phrase is lawful, with and without the space before it."""
    world.origin.answer(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok")
    assert world.get("/x").body == b"ok"
