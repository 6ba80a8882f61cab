"""Requests whose framing is not lawful are refused, and never reach the origin (RFC 9112)."""

import pytest

from tests.support.world import KEY_A, KEY_B, TOK_A, TOK_B, World, request

CHUNKED = "Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"


def post(*fields: str | bytes, body: bytes = b"") -> bytes:
    """A POST with exactly these framing fields."""
    return request("POST /x", *fields, body=body)


REFUSED = {
    "3 plus": post("Content-Length: +5", body=b"ZZZZZ"),
    "3 minus": post("Content-Length: -5", body=b"ZZZZZ"),
    "3 hex": post("Content-Length: 0x5", body=b"ZZZZZ"),
    "3 underscore": post("Content-Length: 5_0", body=b"Z" * 50),
    "3 inner space": post("Content-Length: 5 5", body=b"Z" * 55),
    "3 empty": post("Content-Length: ", body=b""),
    "3 empty, then a length": post("Content-Length: ", "Content-Length: 5", body=b"ZZZZZ"),
    "3 letter": post("Content-Length: 1Z", body=b"Z"),
    "3 superscript": post(b"Content-Length: \xb9", body=b"Z"),
    "3 superscript UTF-8": post(b"Content-Length: \xc2\xb9", body=b"Z"),
    "3 twenty digits": post("Content-Length: 99999999999999999999", body=b"Z"),
    "3 above 2^63": post("Content-Length: 9223372036854775808", body=b"Z"),
    "15 request line": b"GET /x HTTP/1.1\n" + request("GET /x").split(b"\r\n", 1)[1],
    "15 header line": request("GET /x", "A: b").replace(b"A: b\r\n", b"A: b\n"),
    "15 all": request("GET /x").replace(b"\r\n", b"\n"),
    "15 bare CR": request("GET /x", "A: b\rc"),
    "18 folded": request("GET /x", "X: y\r\n z"),
    "18 tab": request("GET /x", "X: y\r\n\tz"),
    "18 first header": request("GET /x").replace(b"Host: gw\r\n", b"X: y\r\n z\r\nHost: gw\r\n"),
    "18 after coding": post(CHUNKED + "\r\n z", body=LAST),
    "20 no Host": request("GET /x", host=None),
    "20 two Hosts": request("GET /x", "Host: gw"),
    "20 other case": request("GET /x", "hOST: gw"),
    "20 two values": request("GET /x", "Host: evil"),
    "20 empty": request("GET /x", "Host: ", host=None),
    "20 path": request("GET /x", host="a/b@c"),
    "20 space": request("GET /x", host="a b"),
    "20 non-ASCII": request("GET /x", b"Host: \xff", host=None),
    "20 brace": request("GET /x", host="{"),
    "space before colon": request("GET /x", "X : y"),
    "no field name": request("GET /x", ": y"),
    "NUL in a value": request("GET /x", "X: a\0b"),
    "37 two Authorizations": request("GET /x", f"Authorization: Bearer {TOK_A}"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(world: World, name: str) -> None:
    """Cases 3, 15, 18, 20: answered 400, the connection closed, nothing sent up."""
    world.refused(REFUSED[name], 400)


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "deflate, chunked"])
def test_layered_coding(world: World, coding: str) -> None:
    """Case 6: a coding that exists but is not spoken here is 501."""
    world.refused(post(f"Transfer-Encoding: {coding}", body=LAST), 501)


BROKEN_BODIES = {
    "10 hex prefix": b"0x1\r\nZ\r\n",
    "10 plus": b"+1\r\nZ\r\n",
    "10 minus": b"-1\r\nZ\r\n",
    "10 underscore": b"1_0\r\nZZZZZZZZZZZZZZZZ\r\n",
    "10 trailing space": b"1 \r\nZ\r\n",
    "10 leading space": b" 1\r\nZ\r\n",
    "10 empty": b"\r\nZ\r\n",
    "10 text": b"1these-bytes\r\nZ\r\n",
    "10 letters": b"ZZ\r\nZ\r\n",
    "10 seventeen digits": b"1" + b"0" * 16 + b"\r\nZ\r\n",
    "10 underscore in zero": b"0_2e\r\n\r\n",
    "11 bare LF": b"1\nZ\n0\n\n",
    "11 data ends in LF": b"1\r\nZ\n0\r\n\r\n",
    "11 data ends in XX": b"1\r\nZXX0\r\n\r\n",
    "11 CR in extension": b"1\r\r;a\r\nZ\r\n",
    "11 LF in extension": b"1;a\nb\r\nZ\r\n",
    "11 CR in a quoted extension": b'1;a="\r"\r\nZ\r\n',
    "12 endless extension": b"1;" + b"a" * (1 << 20) + b"\r\nZ\r\n",
    "14 no colon": b"0\r\nbadtrailer\r\n\r\n",
    "14 NUL": b"0\r\nx: a\0b\r\n\r\n",
    "14 endless trailers": b"0\r\n" + b"x: y\r\n" * 200_000 + b"\r\n",
}


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_broken_chunks(world: World, name: str) -> None:
    """Cases 10, 11, 12, 14: refused or cut; the origin never sees the request end lawfully."""
    body = BROKEN_BODIES[name] + (b"" if name.startswith("14") else LAST)
    connection = world.connect()
    connection.send(post(CHUNKED, body=body), lenient=True)
    reply = connection.reply("POST")
    assert reply.status in {400, 413, 431}, reply
    assert connection.closed()
    assert not [seen for seen in world.origin.requests if seen.complete]


def test_chunk_extensions(world: World) -> None:
    """Case 12: lawful extensions are read and not passed on."""
    _, seen = world.passed(post(CHUNKED, body=b"1;a=b\r\nZ\r\n0;x\r\n\r\n"))
    assert seen.body == b"Z"
    assert b"a=b" not in seen.raw


def test_obs_text_passes(world: World) -> None:
    """Case 17: bytes above ASCII in a value go through as they are."""
    _, seen = world.passed(request("GET /x", b"X: y\xffz"))
    assert b"y\xffz" in seen.raw


VERSIONS = ["HTTP/0.9", "HTTP/1.01", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0",
            "HTTP/4294967295.255", "ICE/1.0", "http/1.1", "HTTP/1.1 "]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_other_versions(world: World, version: str) -> None:
    """Case 21: only HTTP/1.0 and HTTP/1.1 are spoken."""
    raw = request("GET /x").replace(b"HTTP/1.1", version.encode(), 1)
    world.refused(raw, 400, 505)


@pytest.mark.parametrize("raw", [b"GET /\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_no_version_and_h2_preface(world: World, raw: bytes) -> None:
    """Case 21: HTTP/0.9 and HTTP/2 with prior knowledge are refused."""
    world.refused(raw, 400, 405, 505)


@pytest.mark.parametrize("count", [1, 2])
def test_leading_crlf(world: World, count: int) -> None:
    """Case 23: one or two empty lines before a request are tolerated (RFC 9112 section 2.2)."""
    world.passed(b"\r\n" * count + request("GET /x"))


def test_every_split_of_the_head(world: World) -> None:
    """Case 35: where the bytes are cut between segments makes no difference."""
    raw = request("GET /x", "X: y")
    for split in range(len(raw) - 6, len(raw)):
        connection = world.connect()
        connection.send(raw[:split])
        connection.send(raw[split:])
        assert connection.reply().status == 200


def test_a_byte_at_a_time(world: World) -> None:
    """Case 35: a chunked POST in one-byte segments is the same request."""
    connection = world.connect()
    for byte in post(CHUNKED, body=b"2;x=y\r\nab\r\n1\r\nc\r\n0\r\nt: v\r\n\r\n"):
        connection.send(bytes([byte]))
    assert connection.reply("POST").status == 200
    assert world.origin.requests[0].body == b"abc"


def test_pipelining(world: World) -> None:
    """Case 24: answers come in order, and each request has a decision of its own."""
    connection = world.connect()
    connection.send(
        request("GET /1") + request("GET /2", token="wrong") + request("GET /3", token=TOK_B)
    )
    assert [connection.reply().status for _ in range(3)] == [200, 401, 200]
    keys = {seen.target: seen.get("authorization") for seen in world.origin.requests}
    assert keys == {b"/1": f"Bearer {KEY_A}", b"/3": f"Bearer {KEY_B}"}
