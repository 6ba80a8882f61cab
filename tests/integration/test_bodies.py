"""Bodies stream both ways as they are: whole, in step with their reader, and never made to seem
whole when they are not."""

import hashlib
import time

import pytest

from tests.support.gateway import eventually
from tests.support.tls_server import Seen, Wire
from tests.support.world import World, chunked, fields, request

MIB = 1 << 20
BIG = 24 * MIB
SLACK = 16 * MIB
CHUNKED_HEAD = fields("200 OK", "Transfer-Encoding: chunked")


@pytest.mark.parametrize("size", [1, 65_536, 1 * MIB])
@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_upload_arrives_whole(world: World, size: int, framing: str) -> None:
    """Case 69: every byte once and in order; a stated length stays stated."""
    body = hashlib.sha256(b"%d" % size).digest() * (size // 32 + 1)
    body = body[:size]
    if framing == "sized":
        raw = request("POST /x", f"Content-Length: {size}", body=body)
    else:
        raw = request("POST /x", "Transfer-Encoding: chunked", body=chunked(body, 10_000))
    _, seen = world.passed(raw, "POST")
    assert hashlib.sha256(seen.body).digest() == hashlib.sha256(body).digest()
    assert seen.all("content-length") == ([str(size)] if framing == "sized" else [])


def test_large_upload_needs_no_memory(world: World) -> None:
    """Case 69: a body far beyond all buffers goes through with the resident set as it was."""
    before = world.gateway.resident_bytes()
    connection = world.connect()
    connection.send(request("POST /x", f"Content-Length: {BIG}"))
    block = b"Z" * MIB
    for _ in range(BIG // MIB):
        connection.send(block)
    assert connection.reply("POST", timeout=20).status == 200
    assert len(world.origin.requests[0].body) == BIG
    assert world.gateway.resident_bytes() - before < SLACK


def test_large_download_needs_no_memory(world: World) -> None:
    """Case 69: nor does one the other way."""
    before = world.gateway.resident_bytes()
    world.origin.answer(fields("200 OK", f"Content-Length: {BIG}") + b"Z" * BIG)
    assert len(world.get("/x").body) == BIG
    assert world.gateway.resident_bytes() - before < SLACK


def test_a_connection_survives_a_burst(world: World) -> None:
    """Cases 69, 71: a reply that came faster than it was read leaves its connection usable."""
    size = 300 * 1024
    for _ in range(6):
        world.origin.answer(fields("200 OK", f"Content-Length: {size}") + b"Z" * size)
        assert len(world.get("/large").body) == size
        assert world.get("/next").status == 200
    assert len({seen.connection for seen in world.origin.requests}) == 1


def test_an_upload_waits_for_its_reader(world: World) -> None:
    """Case 70: while the origin does not read, the caller is held back; then all arrives."""
    with world.origin.not_reading() as held:
        connection = world.connect()
        connection.send(request("POST /x", f"Content-Length: {BIG}"))
        sent = connection.send_until_blocked(b"Z" * BIG)
        assert sent < BIG
        held.release()
        connection.send(b"Z" * (BIG - sent))
        assert connection.reply("POST", timeout=20).status == 200
    assert len(world.origin.requests[0].body) == BIG


def test_a_download_waits_for_its_reader(world: World) -> None:
    """Case 71: while the caller does not read, the origin is held back, and memory stays flat."""
    before = world.gateway.resident_bytes()
    sending = world.origin.sending(fields("200 OK", f"Content-Length: {BIG}"), BIG)
    connection = world.connect()
    connection.send(request("GET /x"))
    eventually(sending.blocked, 5)
    assert sending.sent < BIG
    assert world.gateway.resident_bytes() - before < SLACK
    assert len(connection.reply(timeout=20).body) == BIG


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json"])
def test_each_chunk_comes_at_once(world: World, kind: str) -> None:
    """Case 72: head and chunks are passed on as they come, none waits for the next."""
    head = fields("200 OK", f"Content-Type: {kind}", "Transfer-Encoding: chunked")
    with world.origin.steps(head, b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n") as steps:
        connection = world.connect()
        connection.send(request("GET /x"))
        for part in (b"\r\n\r\n", b"one", b"two"):
            steps.next()
            started = time.monotonic()
            connection.until(part)
            assert time.monotonic() - started < 3
        steps.next()
        assert connection.reply().body == b"onetwo"


ENOUGH = 65_536  # bytes of a body that are waited for before a connection to the origin is taken
PIECE = b"%x\r\n%b\r\n" % (ENOUGH, b"Z" * ENOUGH)
TRUNCATED = {
    "sized, FIN": (request("POST /x", "Content-Length: 70000", body=b"Z" * ENOUGH), "finish"),
    "sized, RST": (request("POST /x", "Content-Length: 70000", body=b"Z" * ENOUGH), "reset"),
    "chunked, FIN": (request("POST /x", "Transfer-Encoding: chunked", body=PIECE), "finish"),
    "chunked, RST": (request("POST /x", "Transfer-Encoding: chunked", body=PIECE), "reset"),
    "within a chunk": (
        request("POST /x", "Transfer-Encoding: chunked", body=PIECE + b"5\r\nab"), "finish",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("framing", "first", "rest", "whole"),
    [
        ("Content-Length: 6", b"abc", b"def", b"abcdef"),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc"),
    ],
    ids=["sized", "chunked"],
)
def test_an_unfinished_body_occupies_no_connection(
    world: World, framing: str, first: bytes, rest: bytes, whole: bytes
) -> None:
    """Until a short body is whole, nothing of it goes to the origin."""
    connection = world.connect()
    connection.send(request("POST /x", framing, body=first))
    eventually(lambda: world.gateway.metric("requests_in_flight") == 1)
    assert world.get("/meanwhile").status == 200
    assert world.gateway.metric("upstream_connections", state="active") == 0
    connection.send(rest)
    assert connection.reply("POST").status == 200
    assert [(seen.target, seen.body) for seen in world.origin.requests] == [
        (b"/meanwhile", b""),
        (b"/x", whole),
    ]


def test_the_beginning_of_a_long_body_is_enough(world: World) -> None:
    """Once 64 KiB are here the request goes out, and the rest follows as it comes."""
    connection = world.connect()
    connection.send(request("POST /x", "Content-Length: 65539", body=b"Z" * (ENOUGH - 1)))
    eventually(lambda: world.gateway.metric("requests_in_flight") == 1)
    assert world.get("/meanwhile").status == 200
    connection.send(b"Z")
    world.origin.eventually_started(2)
    connection.send(b"end")
    assert connection.reply("POST").status == 200
    assert world.origin.requests[1].body == b"Z" * ENOUGH + b"end"


@pytest.mark.parametrize("name", TRUNCATED)
def test_truncated_upload(world: World, name: str) -> None:
    """Case 74: the origin never takes a piece for the whole; the caller gets no success."""
    raw, end = TRUNCATED[name]
    failures = world.gateway.metric("upstream_errors_total")
    connection = world.connect()
    connection.send(raw)
    world.origin.eventually_started(1)
    getattr(connection, end)()
    if end == "finish":
        assert connection.rest_is_refusal_or_close()
    eventually(lambda: not world.origin.open_connections())
    assert not [seen for seen in world.origin.requests if seen.complete]
    assert world.gateway.metric("upstream_errors_total") == failures


def test_broken_chunk_after_a_megabyte(world: World) -> None:
    """Case 74: a body that breaks late is cut off at the origin just the same."""
    connection = world.connect()
    body = chunked(b"Z" * MIB, 65_536)[: -len(b"0\r\n\r\n")]
    connection.send(request("POST /x", "Transfer-Encoding: chunked", body=body))
    world.origin.eventually_started(1)
    connection.send(b"XYZ\r\n", lenient=True)
    assert connection.reply("POST").status == 400
    eventually(lambda: not world.origin.open_connections())
    assert not [seen for seen in world.origin.requests if seen.complete]


def test_refusal_during_an_upload_is_readable(world: World) -> None:
    """Case 77: a refused caller that is still sending can read why; what it sends is not kept."""
    for _ in range(10):
        connection = world.connect()
        head = request("POST /x", f"Content-Length: {20 * MIB}", token="wrong")
        connection.send(head + b"Z" * MIB, lenient=True)
        reply = connection.reply("POST")
        assert (reply.status, reply.get("connection"), reply.complete) == (401, "close", True)
        assert connection.closed(timeout=10)
    assert not world.origin.requests


def test_early_reply_of_the_origin(world: World) -> None:
    """Case 77: so is Invopop's own answer to a body that it does not want to read."""
    world.origin.answer_at_head(fields("413 Too Large", "Content-Length: 3", "Connection: close")
                                + b"big")  # fmt: skip
    connection = world.connect()
    connection.send(request("POST /x", f"Content-Length: {4 * MIB}") + b"Z" * ENOUGH)
    reply = connection.reply("POST")
    assert (reply.status, reply.body) == (413, b"big")


def test_body_of_just_the_limit(narrow: World) -> None:
    """Case 78: the limit itself is allowed."""
    raw = request("POST /x", "Transfer-Encoding: chunked", body=chunked(b"Z" * MIB, 10_000))
    _, seen = narrow.passed(raw, "POST")
    assert len(seen.body) == MIB


ENCODED = {
    "gzip": b"\x1f\x8b\x08\x00" + b"\0" * 20,
    "br": b"\x8b\x00\x80",
    "zstd": b"\x28\xb5\x2f\xfd",
    "identity, gzip": b"not gzip at all",
}


@pytest.mark.parametrize("coding", ENCODED)
def test_content_coding_is_left_alone(world: World, coding: str) -> None:
    """Cases 79, 80: encoded bytes pass as they are, with their coding and length."""
    body = ENCODED[coding]
    world.origin.answer(
        fields("200 OK", f"Content-Encoding: {coding}", f"Content-Length: {len(body)}") + body
    )
    reply = world.get("/x", "Accept-Encoding: gzip")
    assert (reply.body, reply.get("content-encoding")) == (body, coding)
    assert reply.get("content-length") == str(len(body))
    assert world.origin.requests[0].get("accept-encoding") == "gzip"


def test_reply_trailers_are_dropped(world: World) -> None:
    """Case 81: they are read, and become neither headers nor trailers."""
    world.origin.answer(
        fields("200 OK", "Trailer: X-T", "Transfer-Encoding: chunked")
        + b"3\r\nabc\r\n0\r\nX-T: v\r\nSet-Cookie: a=b\r\n\r\n"
    )
    connection = world.connect()
    connection.send(request("GET /x"))
    reply = connection.reply()
    assert (reply.body, reply.complete) == (b"abc", True)
    assert b"x-t" not in connection.received.lower()
    assert not reply.all("set-cookie") + reply.all("trailer")


CUT = {
    "84 short of its length": fields("200 OK", "Content-Length: 10") + b"abc",
    "85 no last chunk": CHUNKED_HEAD + b"3\r\nabc\r\n",
    "85 within a chunk": CHUNKED_HEAD + b"5\r\nab",
    "85 within a chunk's size": CHUNKED_HEAD + b"3\r\nabc\r\n1",
    "85 before the trailers' end": CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nX: y\r\n",
    "85 broken chunk size": CHUNKED_HEAD + b"3\r\nabc\r\nXYZ\r\n",
}


@pytest.mark.parametrize("end", ["close", "reset", "abort"])
@pytest.mark.parametrize("name", CUT)
def test_truncated_reply_is_cut(world: World, name: str, end: str) -> None:
    """Cases 84, 85: what breaks off at the origin breaks off at the caller, never ends."""
    world.origin.answer(CUT[name], end=end)
    connection = world.connect()
    connection.send(request("GET /x"))
    reply = connection.reply()
    assert (reply.status, reply.complete) in {(200, False), (502, True)}
    if reply.status == 200:
        assert connection.closed()


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_reply_that_ends_behind_its_head(world: World, framing: str) -> None:
    """Cases 84, 85: nothing was passed on yet, so it is a 502: one exchange, as any other."""

    def play(wire: Wire, _: Seen) -> None:
        assert wire.tls is not None
        wire.tls.write(fields("200 OK", framing))
        wire.end("close")  # in the same segment

    own = framing.partition(":")[0]
    world.origin.play(play)
    reply = world.get("/x", f"X-Request-Id: {own}")
    assert (reply.status, reply.get("x-request-id")) == (502, own)
    told = world.gateway.exchange(own)
    assert (told["status"], told["tenant"]) == (502, "acme")
    assert told["error"] == "upstream_protocol_error"


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_reply_delimited_by_close(world: World, version: str) -> None:
    """Case 86: with TLS closed in order it is whole, whatever the framing on our side."""
    head = fields("200 OK", "Content-Type: a/b").replace(b"1.1", version.encode(), 1)
    world.origin.answer(head + b"all of it", end="close")
    reply = world.get("/x")
    assert (reply.body, reply.complete) == (b"all of it", True)


@pytest.mark.parametrize("end", ["abort", "reset"])
def test_reply_delimited_by_an_abrupt_close(world: World, end: str) -> None:
    """Case 86: without close_notify nobody knows whether it was all: it is cut."""
    world.origin.answer(fields("200 OK", "Content-Type: a/b") + b"part", end=end)
    reply = world.get("/x")
    assert (reply.status, reply.complete) in {(200, False), (502, True)}
