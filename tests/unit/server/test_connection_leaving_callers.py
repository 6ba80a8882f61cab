"""A caller that leaves takes its request with it, wherever that has got to."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.asgi import Receive, Scope, Send
from gateway.model import CALLER_LEFT
from gateway.server import connection
from gateway.server.connection import HIGH_WATER
from gateway.server.listener import READ_BLOCK
from tests.support.async_caller import Wire
from tests.unit.server.conftest import Recorder, Serve, answer, piece

GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"


class Waiting:
    """An app that does `step`, tells that it has, and waits until it is cancelled."""

    def __init__(self, step: Callable[[Receive, Send], object] | None = None) -> None:
        self.reached = asyncio.Event()
        self.ended = asyncio.Event()
        self.reasons: list[object] = []
        self._step = step

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if self._step is not None:
                await self._step(receive, send)  # type: ignore[misc]
            self.reached.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError as reason:
            self.reasons.extend(reason.args)
            raise
        finally:
            self.ended.set()

    async def left(self) -> None:
        """Returns once the app was cancelled because its caller had left."""
        await asyncio.wait_for(self.ended.wait(), 2)
        assert self.reasons == [CALLER_LEFT]


async def head_only(receive: Receive, send: Send) -> None:
    """The reply's head."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def streaming(receive: Receive, send: Send) -> None:
    """The reply's head and a part of its body."""
    await head_only(receive, send)
    await send(piece(b"part"))


async def reading(receive: Receive, send: Send) -> None:
    """The whole request."""
    await receive()


async def reading_on(receive: Receive, send: Send) -> None:
    """The whole request, and whatever may come after it: `http.disconnect`, in the end."""
    await receive()
    while True:
        assert (await receive())["type"] == "http.disconnect"


@pytest.mark.parametrize("leave", [Wire.reset, Wire.half_close, lambda wire: wire.writer.close()])
@pytest.mark.parametrize("step", [None, reading, reading_on, head_only, streaming])
async def test_case_120_121_122_a_leaving_caller_cancels_its_request(
    serve: Serve, leave: Callable[[Wire], None], step: Callable[[Receive, Send], object] | None
) -> None:
    """Before the reply, between its head and its body, within it: by reset, FIN or half-close."""
    app = Waiting(step)
    served = await serve(app)
    wire = await served.wire()
    await wire.send(GET)
    if step is not reading_on:
        await app.reached.wait()
    else:
        await served.busy()
    leave(wire)
    await app.left()
    assert served.refusals == []


async def test_a_request_whose_caller_is_gone_already_is_still_seen(serve: Serve) -> None:
    """Request and FIN in one go: the app gets its turn, so that the exchange can be told of."""
    app = Waiting()
    wire = await (await serve(app)).wire()
    wire.writer.write(GET)
    wire.half_close()
    await app.left()


@pytest.mark.parametrize(
    ("head", "leave"),
    [
        (b"Content-Length: 10\r\n\r\nabc", Wire.half_close),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Wire.reset),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", Wire.half_close),
        (b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", Wire.half_close),
    ],
)
async def test_case_74_123_a_truncated_upload_never_looks_whole(
    serve: Serve, head: bytes, leave: Callable[[Wire], None]
) -> None:
    """The app is cancelled; it gets no end of the body, and the caller no reply."""
    app = Recorder()
    served = await serve(app)
    wire = await served.wire()
    await wire.send(b"POST /p HTTP/1.1\r\nHost: gw\r\n" + head)
    while not app.scopes:
        await asyncio.sleep(0.001)
    leave(wire)
    await served.emptied()
    assert app.bodies == []
    assert await wire.closed()


async def test_a_reply_that_is_complete_reaches_a_half_closed_caller(serve: Serve) -> None:
    """A caller may end its side as soon as it has been answered; unread parts are still sent."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, bytes(4 << 20))

    wire = await (await serve(app)).wire()
    await wire.send(GET)
    assert (await wire.head())[0] == 200
    wire.half_close()
    assert len(await wire.to_end()) == 4 << 20


@pytest.mark.parametrize("leave", [Wire.reset, Wire.half_close, lambda wire: wire.writer.close()])
async def test_a_caller_that_has_the_whole_reply_may_leave(
    serve: Serve, leave: Callable[[Wire], None]
) -> None:
    """Once Content-Length bytes are with it, the request is complete, before the app says so."""
    written, told, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        written.set()
        await told.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        ended.set()

    served = await serve(app)
    wire = await served.wire()
    await wire.send(GET)
    await written.wait()
    response = await wire.response()
    assert response.body == b"part"
    leave(wire)
    async with asyncio.timeout(20):
        while served.listener.connections and not served.connection._ended:
            await asyncio.sleep(0.001)
        told.set()
        await ended.wait()
    await served.emptied()


async def test_case_26_leaving_drops_what_was_pipelined(serve: Serve) -> None:
    """Nothing that is queued behind the request in flight is executed for nobody."""
    app = Waiting()
    served = await serve(app)
    wire = await served.wire()
    await wire.send(GET * 3)
    await app.reached.wait()
    wire.reset()
    await served.emptied()
    assert app.reasons == [CALLER_LEFT]


async def test_sending_to_nobody_does_not_spin(serve: Serve) -> None:
    """An app that only ever sends is stopped at the first `send` after the caller has left."""
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await head_only(receive, send)
        try:
            while True:
                await send(piece(b"x"))
                await asyncio.sleep(0)
        finally:
            ended.set()

    wire = await (await serve(app)).wire()
    await wire.send(GET)
    assert (await wire.head())[0] == 200
    wire.reset()
    await asyncio.wait_for(ended.wait(), 2)


# A little more than is read until the app has taken it: a FIN behind too much would not arrive.
MORE = HIGH_WATER + READ_BLOCK + 8 * 1024

BEHIND = [
    pytest.param(GET * (MORE // len(GET)), id="requests behind it"),
    pytest.param(b"POST /x HTTP/1.1\r\nHost: gw\r\nContent-Length: 9000000\r\n\r\n", id="a body"),
]


@pytest.mark.parametrize("leave", [Wire.reset, Wire.half_close, lambda wire: wire.writer.close()])
@pytest.mark.parametrize("request_", BEHIND)
async def test_case_120_a_caller_that_is_not_read_is_looked_for(
    serve: Serve, leave: Callable[[Wire], None], request_: bytes
) -> None:
    """More has come than is read for now, so that no end of it shows: it is noticed."""
    app = Waiting()
    served = await serve(app)
    wire = await served.wire()
    await wire.send(request_)
    wire.writer.write(bytes(MORE) if request_.startswith(b"POST") else b"")
    await app.reached.wait()
    async with asyncio.timeout(5):
        while served.connection._reading:
            await asyncio.sleep(0.005)
    await wire.writer.drain()
    leave(wire)
    await app.left()


async def test_a_caller_that_is_not_read_and_stays_is_served(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is looked for."""
    monkeypatch.setattr(connection, "LOOK_SECONDS", 0.01)
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await answer(send, b"ok")

    served = await serve(app)
    wire = await served.wire()
    await wire.send(GET * 20_000)
    await served.busy()
    async with asyncio.timeout(5):
        while served.connection._reading:
            await asyncio.sleep(0.001)
    go.set()
    for _ in range(20_000):
        assert (await wire.response()).body == b"ok"


async def test_what_comes_behind_a_last_request_resets_no_reply(serve: Serve) -> None:
    """RFC 9112 9.6: a caller that asked to close, and sends on, gets its whole reply."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, bytes(300_000))

    wire = await (await serve(app)).wire(receive_buffer=4096)
    await wire.send(b"GET /x HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n")
    assert (await wire.head())[0] == 200
    for _ in range(3):
        await asyncio.sleep(0.05)
        await wire.send(b"\r\n")
    async with asyncio.timeout(5):
        assert len(await wire.reader.readexactly(300_000)) == 300_000
    assert await wire.closed()
