"""What an app's replies become on the wire."""

import asyncio
import re

import pytest

from gateway.asgi import App, Message, Receive, Scope, Send
from gateway.errors import GatewayFault
from gateway.events import Noticed
from tests.support.async_caller import Wire
from tests.unit.server.conftest import Recorder, Serve, answer, piece

GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")


def start(*headers: tuple[bytes, bytes], status: int = 200) -> Message:
    """A reply's head."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


END: Message = {"type": "http.response.body", "body": b""}


def says(*messages: Message) -> App:
    """An app that sends these messages."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def length(value: int) -> tuple[bytes, bytes]:
    """A Content-Length."""
    return (b"content-length", b"%d" % value)


async def test_case_48_one_date_and_no_server(serve: Serve) -> None:
    """A Date is added where there is none; the reply's own stays."""
    reply = await (await (await serve(says(start(), END))).wire()).exchange(GET)
    assert re.fullmatch(rb"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", reply.header("date") or b"")
    assert reply.header("server") is None
    assert reply.header("connection") is None
    theirs = (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")
    reply = await (await (await serve(says(start(theirs), END))).wire()).exchange(GET)
    assert reply.header("date") == theirs[1]


@pytest.mark.parametrize(
    ("request_bytes", "messages", "lengths", "body"),
    [
        (GET, [start(length(3)), {**END, "body": b"abc"}], [b"3"], b"abc"),
        (GET, [start(length(3)), piece(b"a"), piece(b""), piece(b"bc"), END], [b"3"], b"abc"),
        (GET, [start(), {**END, "body": b"abc"}], [b"3"], b"abc"),
        (GET, [start(), END], [b"0"], b""),
        (GET, [start(), piece(b"a"), piece(b""), piece(b"bc"), END], [], b"abc"),
        (GET, [start(), piece(b"a"), {**END, "body": b"bc"}], [], b"abc"),
        (HEAD, [start(length(1234)), END], [b"1234"], b""),
        (HEAD, [start(), piece(b"not sent"), END], [], b""),
        (GET, [start(length(5), status=204), {**END, "body": b"abcde"}], [], b""),
        (GET, [start((b"transfer-encoding", b"chunked"), status=204), END], [], b""),
        (GET, [start(length(500), (b"etag", b'"x"'), status=304), END], [b"500"], b""),
        (GET, [start(length(5), status=205), {**END, "body": b"abcde"}], [b"0"], b""),
    ],
)
async def test_case_83_87_to_90_framing_of_replies(
    serve: Serve, request_bytes: bytes, messages: list[Message], lengths: list[bytes], body: bytes
) -> None:
    """Sized where the size is known, else chunked; bodiless where HTTP says so; then the next."""
    wire = await (await serve(says(*messages))).wire()
    for _ in range(2):
        reply = await wire.exchange(request_bytes)
        assert [value for name, value in reply.headers if name == b"content-length"] == lengths
        assert reply.body == body


async def test_hop_by_hop_fields_are_the_servers_own(serve: Serve) -> None:
    """Whatever the app says of them, the connection goes on as it is."""
    theirs = (
        (b"connection", b"close"),
        (b"keep-alive", b"timeout=5"),
        (b"transfer-encoding", b"gzip"),
    )
    wire = await (await serve(says(start(*theirs, (b"x", b"y")), END))).wire()
    for _ in range(2):
        reply = await wire.exchange(GET)
        names = [name for name, _ in reply.headers]
        assert names == [b"x", b"content-length", b"date", b"keep-alive"]
        assert reply.header("keep-alive") == b"timeout=75"


async def test_case_50_fields_pass_byte_for_byte(serve: Serve) -> None:
    """Large ones, many of them, obs-text, repeats and their order."""
    fields = [(b"set-cookie", b"a"), (b"x", b"\xff" * 20_000), (b"set-cookie", b"b")] * 100
    reply = await (await (await serve(says(start(*fields), END))).wire()).exchange(GET)
    assert reply.headers[:300] == fields


async def test_a_small_reply_is_one_segment(serve: Serve) -> None:
    """Head and body leave together, whether or not their length was declared."""
    wire = await (await serve(says(start(), {**END, "body": b"abc"}))).wire()
    await wire.send(GET)
    assert (await wire.reader.read(65536)).endswith(b"\r\n\r\nabc")


async def test_case_72_a_head_and_each_part_go_out_at_once(serve: Serve) -> None:
    """The head does not wait for a body, nor a part for the next."""
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        for _ in range(3):
            await go.wait()
            go.clear()
            await send(piece(b"part"))
        await send(END)

    wire = await (await serve(app)).wire()
    await wire.send(GET)
    assert (await wire.head())[0] == 200
    for _ in range(3):
        go.set()
        assert await wire.chunk() == b"part"
    assert await wire.chunk() == b""


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [start()],
        [END],
        [start(status=600), END],
        [start(status=99), END],
        [start(status=101), END],
        [start((b"x", b"a\r\nset-cookie: evil")), END],
        [start((b"x", b"a\nb")), END],
        [start((b"x", b"a\0b")), END],
        [start((b"x\r\n", b"a")), END],
        [start((b"content-length", b"+3")), END],
        [start(length(3)), {**END, "body": b"ab"}],
        [start(length(3)), {**END, "body": b"abcd"}],
    ],
)
async def test_case_51_96_what_cannot_be_sent_is_a_500(
    serve: Serve, messages: list[Message]
) -> None:
    """Never an empty reply, never a broken one, and no text of the failure."""
    served = await serve(says(*messages))
    wire = await served.wire()
    reply = await wire.exchange(GET)
    assert (reply.status, reply.header("x-gateway-error")) == (500, b"internal_error")
    assert reply.header("x-request-id") == b"made-here"
    assert await wire.closed()
    assert [refusal.error for refusal in served.refusals] == ["internal_error"]


async def test_an_apps_failure_is_told_without_its_text(serve: Serve) -> None:
    """The exception's type and place; its text might hold a secret."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("sk_live_SECRET")

    served = await serve(app)
    reply = await (await served.wire()).exchange(GET)
    assert reply.status == 500
    told = [event for event in served.events if isinstance(event, Noticed)]
    assert told[0].fields["exception"] == "ValueError"
    assert "SECRET" not in repr(served.events) + repr(reply)


async def test_an_app_that_cancels_itself_is_a_500(serve: Serve) -> None:
    """The caller is never left without an answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    assert (await (await (await serve(app)).wire()).exchange(GET)).status == 500


async def test_a_gateway_error_that_escapes_the_app_is_answered(serve: Serve) -> None:
    """With its own problem."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise GatewayFault("overloaded", headers=[(b"retry-after", b"1")])

    reply = await (await (await serve(app)).wire()).exchange(GET)
    assert (reply.status, reply.header("retry-after")) == (503, b"1")


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        ([start(), piece(b"abc")], b"3\r\nabc\r\n"),
        ([start(length(9)), piece(b"abc")], b"abc"),
        ([start(length(4)), piece(b"abc"), END], b"abc"),
        ([start(length(4)), piece(b"abc"), piece(b"de")], b"abc"),
    ],
)
@pytest.mark.parametrize("raises", [False, True])
async def test_case_84_85_a_reply_that_breaks_off_is_cut(
    serve: Serve, messages: list[Message], sent: bytes, raises: bool
) -> None:
    """Never completed as if whole: no last chunk, fewer bytes than declared, and closed."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await says(*messages)(scope, receive, send)
        if raises:
            raise OSError

    wire = await (await serve(app)).wire()
    await wire.send(GET)
    assert (await wire.head())[0] == 200
    assert await wire.to_end() == sent


async def test_case_85_a_close_delimited_reply_is_cut_by_a_reset(serve: Serve) -> None:
    """For HTTP/1.0 an orderly close would be the end of the body."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start())
        await send(piece(b"abc"))
        await asyncio.sleep(0.01)

    wire = await (await serve(app)).wire()
    await wire.send(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await wire.to_end()


async def test_an_apps_work_after_its_reply_holds_nobody_up(serve: Serve) -> None:
    """The next request is served while the first one's app is still tidying up."""
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"x")
        await release.wait()

    served = await serve(app)
    wire = await served.wire()
    for _ in range(3):
        assert (await wire.exchange(GET)).status == 200
    assert len(served.listener.running) == 3
    wire.reset()
    release.set()
    await served.emptied()


async def test_receive_after_the_reply_says_disconnect(serve: Serve) -> None:
    """An app that waits for the caller to leave is not kept for ever."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        waiting = asyncio.ensure_future(receive())
        await answer(send, b"x")
        seen.append((await waiting)["type"])

    wire: Wire = await (await serve(app)).wire()
    assert (await wire.exchange(GET)).status == 200
    assert (await wire.exchange(GET)).status == 200
    async with asyncio.timeout(5):
        while len(seen) < 2:
            await asyncio.sleep(0.001)
    assert seen == ["http.disconnect"] * 2


async def test_state_of_the_life_span_reaches_requests(serve: Serve) -> None:
    """As a copy, as ASGI has it."""
    app = Recorder()
    served = await serve(app)
    served.listener.state = {"a": 1}
    await (await served.wire()).exchange(GET)
    assert app.scopes[0]["state"] == {"a": 1}
    assert app.scopes[0]["state"] is not served.listener.state
