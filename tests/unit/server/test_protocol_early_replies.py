"""Replies that come before the request's body was read, and `Expect: 100-continue`."""

import asyncio
from contextlib import suppress

import pytest

from gateway.asgi import Receive, Scope, Send
from gateway.errors import CallerError
from gateway.server import connection as connection_module
from tests.unit.server.conftest import Recorder, Serve, answer

EXPECTING = b"POST /p HTTP/1.1\r\nHost: gw\r\nExpect: 100-continue\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that looks at no body."""
    await answer(send, b"no", 401)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 50\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"]
)
async def test_case_29_an_early_refusal_comes_without_100_and_closes(
    serve: Serve, framing: bytes
) -> None:
    """The next request on that connection is never taken for the body, nor the body for it."""
    app = Recorder()
    served = await serve(refuse)
    wire = await served.wire()
    reply = await wire.exchange(EXPECTING + framing)
    assert (reply.status, reply.header("connection")) == (401, b"close")
    await wire.send(GET)
    assert await wire.closed()
    assert app.scopes == []


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"Content-Length: 3\r\n\r\n", b"abc"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
    ],
)
async def test_case_30_an_interim_reply_once_when_the_body_is_wanted(
    serve: Serve, framing: bytes, body: bytes
) -> None:
    """The caller waits for it, then sends, and the connection goes on."""
    wire = await (await serve(Recorder())).wire()
    for _ in range(2):
        interim = await wire.exchange(EXPECTING + framing)
        assert (interim.status, interim.headers) == (100, [])
        assert (await wire.exchange(body)).body == b"/p:abc"


async def test_case_30_no_100_for_a_body_that_is_here(serve: Serve) -> None:
    """A caller that did not wait is not told to go on."""
    wire = await (await serve(Recorder())).wire()
    reply = await wire.exchange(EXPECTING + b"Content-Length: 3\r\n\r\nabc")
    assert (reply.status, reply.body) == (200, b"/p:abc")


async def test_case_30_the_wait_for_100_is_no_stall(serve: Serve) -> None:
    """`body_timeout` runs from the 100 on: before it, the silence is ours."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(1.5)
        await answer(send, (await receive())["body"])

    wire = await (await serve(app, body_timeout=1.0)).wire()
    request = EXPECTING + b"Content-Length: 3\r\n\r\n"
    assert (await wire.exchange(request)).status == 100
    assert (await wire.exchange(b"abc")).body == b"abc"
    assert (await wire.exchange(request)).status == 100
    assert (await wire.response()).status == 408


async def test_case_77_an_early_reply_reaches_a_caller_that_is_sending(serve: Serve) -> None:
    """No reset overtakes it, and it says `Connection: close`, though 20 MiB more are sent."""
    served = await serve(refuse)
    size = 20 << 20
    for _ in range(20):
        wire = await served.wire()
        wire.writer.write(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n" % size)
        wire.writer.write(bytes(size))
        await wire.writer.drain()  # a caller that reads nothing until it has sent everything
        reply = await wire.response()
        assert (reply.status, reply.header("connection"), reply.body) == (401, b"close", b"no")


async def test_case_77_after_an_early_reply_a_caller_may_not_send_for_ever(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However steadily it sends, the connection ends."""
    monkeypatch.setattr(connection_module, "LINGER_IN_ALL", 0.5)
    served = await serve(refuse)
    wire = await served.wire()
    assert (await wire.exchange(EXPECTING + b"Content-Length: 999999\r\n\r\n")).status == 401

    async def drip() -> None:
        with suppress(ConnectionError):
            while True:
                await wire.send(b"x")
                await asyncio.sleep(0.01)

    dripping = asyncio.create_task(drip())
    await served.emptied()
    await dripping


async def test_case_77_a_small_unread_body_is_no_reason_to_close(serve: Serve) -> None:
    """If all of it is here, the connection goes on."""
    wire = await (await serve(refuse)).wire()
    for _ in range(2):
        reply = await wire.exchange(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: 3\r\n\r\nabc")
        assert (reply.status, reply.header("connection")) == (401, None)


async def test_case_78_an_app_may_refuse_a_body_half_way(serve: Serve) -> None:
    """The reply reaches the caller, who is still sending, and ends the connection."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        got = 0
        while got < 100_000:
            got += len((await receive())["body"])
        raise CallerError("body_too_large")

    served = await serve(app)
    wire = await served.wire()
    wire.writer.write(b"POST / HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n")
    wire.writer.write(b"10000\r\n" + bytes(65536) + b"\r\n" + b"10000\r\n" + bytes(65536) + b"\r\n")
    reply = await wire.response()
    assert (reply.status, reply.header("connection")) == (413, b"close")
    assert await wire.closed()
    assert [refusal.error for refusal in served.refusals] == ["body_too_large"]
