"""What a caller's bytes become for the app, and what it gets for unlawful ones."""

import asyncio

import pytest

from gateway.asgi import Receive, Scope, Send
from tests.support.async_caller import Wire
from tests.unit.server.conftest import Recorder, Serve, answer


def post(body: bytes, *fields: bytes) -> bytes:
    """A sized POST."""
    lines = [b"POST /p HTTP/1.1", b"Host: gw", b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CHUNKED = b"POST /p HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n"


async def refused(wire: Wire, request: bytes, status: int, key: str = "bad_request") -> None:
    """The request gets that problem, then the connection ends."""
    reply = await wire.exchange(request)
    assert (reply.status, reply.header("x-gateway-error")) == (status, key.encode())
    assert reply.header("connection") == b"close"
    assert reply.header("content-type") == b"application/problem+json"
    assert reply.header("date")
    assert await wire.closed()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nHost:g\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nHost: g\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nZ", 400),
        (b"POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET / HTTP/1.1\nHost: g\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: g\n", 400),
        (b"GET / HTTP/1.1\r\r", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 400),
        (b"GET / HTTP/1.1\r\nHost: g\r\nX: y\r\n z\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: g\r\nhost: g\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: g\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 400),
        (b"GET /a#b HTTP/1.1\r\nHost: g\r\n\r\n", 400),
        (b"GET * HTTP/1.1\r\nHost: g\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: g\r\nAuthorization: a\r\nauthorization: a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: g\r\nExpect: a-pony\r\nContent-Length: 3\r\n\r\nabc", 417),
        (b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: g\r\n\r\n", 400),
    ],
)
async def test_case_1_2_6_15_18_20_21_39_unlawful_requests_never_reach_the_app(
    serve: Serve, request_bytes: bytes, status: int
) -> None:
    """Each gets its status and a closed connection, is counted once, and the next one is served."""
    app = Recorder()
    served = await serve(app)
    await refused(await served.wire(), request_bytes, status)
    assert app.scopes == []
    assert [(refusal.status, refusal.error) for refusal in served.refusals] == [
        (status, "bad_request")
    ]
    assert served.refusals[0].peer == "127.0.0.1"
    assert (await (await served.wire()).exchange(post(b"x"))).status == 200


async def test_a_refused_head_request_gets_no_body(serve: Serve) -> None:
    """RFC 9110 9.3.2, also for our own errors."""
    wire = await (await serve(Recorder())).wire()
    await wire.send(b"HEAD / HTTP/1.1\r\n\r\n")
    assert (await wire.response(head_only=True)).status == 400
    assert await wire.closed()


@pytest.mark.parametrize("segments", ["whole", "bytewise"])
async def test_case_13_trailers_are_never_headers(serve: Serve, segments: str) -> None:
    """Neither in one segment with the head nor later does a trailer field reach the app."""
    app = Recorder()
    wire = await (await serve(app)).wire()
    trailers = b"Authorization: Bearer EVIL\r\nHost: evil\r\nConnection: authorization\r\n"
    request = (
        CHUNKED + b"X-Tenant: A\r\n\r\n1;ext=1\r\nZ\r\n0\r\n" + trailers + b"X-Tenant: B\r\n\r\n"
    )
    await (wire.send(request) if segments == "whole" else wire.send_bytewise(request))
    assert (await wire.response()).body == b"/p:Z"
    assert app.header(b"x-tenant") == [b"A"]
    assert app.header(b"authorization") == []
    assert app.header(b"host") == [b"gw"]


async def test_case_35_split_points_mean_nothing(serve: Serve) -> None:
    """Two requests in two segments are read alike wherever the border is."""
    wire = await (await serve(Recorder())).wire()
    requests = CHUNKED + b"\r\n2\r\nab\r\n0\r\n\r\n" + post(b"xyz")
    for at in range(1, len(requests)):
        await wire.send(requests[:at])
        await asyncio.sleep(0)
        await wire.send(requests[at:])
        assert (await wire.response()).body == b"/p:ab"
        assert (await wire.response()).body == b"/p:xyz"


async def test_case_23_blank_lines_before_a_request(serve: Serve) -> None:
    """Two of them are tolerated, before each request."""
    wire = await (await serve(Recorder())).wire()
    for blanks in (b"\r\n", b"\r\n\r\n"):
        assert (await wire.exchange(blanks + post(b"x"))).status == 200
    await wire.send_bytewise(b"\r\n\r\n" + post(b"y"))
    assert (await wire.response()).body == b"/p:y"
    await refused(wire, b"\r\n" * 10_000, 400)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("framing", ["sized", "chunked"])
async def test_case_27_an_upgrade_is_ignored_and_its_body_kept(
    serve: Serve, framing: str, late: bool
) -> None:
    """What Java's HttpClient sends by default is served as HTTP/1.1, and so is the next request."""
    app = Recorder()
    served = await serve(app)
    wire = await served.wire()
    upgrade = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA")
    head, body = CHUNKED + b"\r\n".join(upgrade) + b"\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"
    if framing == "sized":
        head, body = post(b"abc", *upgrade)[:-3], b"abc"
    await wire.send(head if late else head + body)
    if late:
        await served.busy()
        await wire.send(body)
    assert (await wire.response()).body == b"/p:abc"
    assert (await wire.exchange(post(b"next"))).body == b"/p:next"


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"HEAD", b"OPTIONS"])
async def test_case_32_any_method_may_have_a_body(serve: Serve, method: bytes) -> None:
    """It reaches the app whole, with its length."""
    app = Recorder()
    wire = await (await serve(app)).wire()
    reply = await wire.exchange(post(b"abc").replace(b"POST", method))
    assert (reply.status, app.bodies) == (200, [b"abc"])


async def test_case_33_no_body_is_an_empty_body(serve: Serve) -> None:
    """Without a framing field there is none; the app gets one empty, final message."""
    app = Recorder()
    wire = await (await serve(app)).wire()
    assert (await wire.exchange(b"POST /p HTTP/1.1\r\nHost: gw\r\n\r\n")).body == b"/p:"


async def test_case_17_53_values_and_long_targets_pass_byte_for_byte(serve: Serve) -> None:
    """obs-text is not re-encoded, and 8 KiB of query are not cut."""
    app = Recorder()
    wire = await (await serve(app)).wire()
    query = b"q=" + b"x" * 8192
    await wire.exchange(b"GET /a%2Fb?" + query + b" HTTP/1.1\r\nHost: gw\r\nX-O: y\xffz\r\n\r\n")
    assert app.header(b"x-o") == [b"y\xffz"]
    scope = app.scopes[0]
    assert (scope["raw_path"], scope["query_string"]) == (b"/a%2Fb", query)
    assert scope["extensions"]["invopop_gateway.target"] == b"/a%2Fb?" + query
    assert scope["extensions"]["invopop_gateway.peer"].address == "127.0.0.1"
    assert (scope["method"], scope["http_version"], scope["scheme"]) == ("GET", "1.1", "http")
    assert scope["client"] == wire.writer.get_extra_info("sockname")


@pytest.mark.parametrize("line", [b"CONNECT evil:443", b"OPTIONS *", b"GET http://evil.com"])
async def test_case_58_59_odd_targets_reach_the_app_bodiless(serve: Serve, line: bytes) -> None:
    """The app answers them; its router sees a path that begins with a slash."""
    app = Recorder()
    wire = await (await serve(app)).wire()
    assert (await wire.exchange(line + b" HTTP/1.1\r\nHost: gw\r\n\r\n")).status == 200
    assert app.scopes[0]["path"].startswith("/")
    assert app.bodies == [b""]


async def test_case_41_forwarded_fields_are_not_believed(serve: Serve) -> None:
    """The peer is whoever the socket says it is, whatever headers claim."""
    app = Recorder()
    wire = await (await serve(app)).wire()
    fields = (b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-Proto: https", b"Forwarded: for=6.6.6.6")
    await wire.exchange(post(b"", *fields))
    assert app.scopes[0]["client"][0] == "127.0.0.1"
    assert app.scopes[0]["scheme"] == "http"


@pytest.mark.parametrize(
    "body", [b"ZZ\r\n", b"1\nZ\n0\n\n", b"5\r\nabcdefg", b"0\r\nbad\r\n\r\n", b"1;" + b"a" * 5000]
)
@pytest.mark.parametrize("late", [False, True])
async def test_case_10_11_14_74_broken_chunks_are_an_error_to_the_app(
    serve: Serve, body: bytes, late: bool
) -> None:
    """`receive` raises bad_request, never an end; the caller gets 400 and a closed connection."""
    app = Recorder()
    served = await serve(app)
    wire = await served.wire()
    if late:
        await wire.send(CHUNKED + b"\r\n1\r\nA\r\n")
        await served.busy()
        await refused(wire, body, 400)
    else:
        await refused(wire, CHUNKED + b"\r\n" + body, 400)
    assert app.bodies == []
    assert [refusal.method for refusal in served.refusals] == ["POST"]


async def test_case_104_http_10(serve: Serve) -> None:
    """No Host needed, closed after the reply, never chunked."""

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"two"})

    for app, body in ((streaming, b"onetwo"), (Recorder(), b"/:")):
        wire = await (await serve(app)).wire()
        reply = await wire.exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (reply.body, reply.header("transfer-encoding")) == (body, None)
        assert reply.header("connection") == b"close"
        assert await wire.closed()


async def test_case_24_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    """Also if the first takes longest; each has its own turn with the app."""
    turns: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        turns.append(scope["raw_path"])
        await asyncio.sleep(0.02 if scope["raw_path"] == b"/1" else 0)
        assert turns[-1] == scope["raw_path"]
        await answer(send, scope["raw_path"])

    wire = await (await serve(app)).wire()
    await wire.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: gw\r\n\r\n" % n for n in (1, 2, 3)))
    assert [(await wire.response()).body for _ in range(3)] == [b"/1", b"/2", b"/3"]


async def test_pipelined_bytes_are_bounded(serve: Serve) -> None:
    """While a request is in flight, what comes behind it is left to TCP beyond a bound."""
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await answer(send, b"x")

    served = await serve(app)
    wire = await served.wire()
    request = b"GET / HTTP/1.1\r\nHost: gw\r\n\r\n"
    count = 6_000
    wire.writer.write(request * count)
    await served.busy()
    while served.connection._reading:
        await asyncio.sleep(0.001)
    assert len(served.connection._buffer) < 512 * 1024
    release.set()
    for _ in range(count):
        assert (await wire.response()).body == b"x"


@pytest.mark.parametrize("late", [False, True])
async def test_case_26_garbage_behind_a_request_never_enters_its_reply(
    serve: Serve, late: bool
) -> None:
    """The reply comes whole; only then the garbage gets its 400, and the connection ends."""
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"part", "more_body": True})
            await go.wait()
        await send({"type": "http.response.body", "body": b""})

    served = await serve(app)
    wire = await served.wire()
    garbage = b"GARBAGE\r\n\r\n"
    await wire.send(b"GET /slow HTTP/1.1\r\nHost: gw\r\n\r\n" + (b"" if late else garbage))
    if late:
        assert (await wire.head())[0] == 200
        await wire.send(garbage)
        await asyncio.sleep(0.01)
        go.set()
        assert [await wire.chunk() for _ in range(4)] == [b"part"] * 3 + [b""]
    else:
        go.set()
        assert (await wire.response()).body == b"part" * 3
    assert (await wire.response()).status == 400
    assert await wire.closed()
    assert [refusal.method for refusal in served.refusals] == ["OTHER"]
