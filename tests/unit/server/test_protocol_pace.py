"""`min_rate` on real connections: trickles are ended, in both directions, and nothing else is."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.asgi import Receive, Scope, Send
from gateway.model import CALLER_SLOW
from gateway.server.listener import ConnectionLimits
from tests.support.async_caller import Wire
from tests.unit.server.conftest import Recorder, Serve, answer, piece
from tests.unit.server.opened import GET, Authority, opened

BIG = 16 << 20  # more than the kernel takes
POST = b"POST /p HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n"


async def trickle(wire: Wire, every: float) -> None:
    """One byte now and then, until the other side ends it."""
    while not wire.reader.at_eof() and not wire.reader._buffer:  # type: ignore[attr-defined]
        await wire.send(b"x")
        await asyncio.sleep(every)


async def test_a_trickled_body_is_408(serve: Serve) -> None:
    """No pause is as long as `body_timeout`, and yet the request ends."""
    app = Recorder()
    served = await serve(app, grace=1.0, min_rate=1000)
    wire = await served.wire()
    await wire.send(POST % 100_000)
    async with asyncio.timeout(10):
        await trickle(wire, every=0.05)
    reply = await wire.response()
    assert (reply.status, reply.header("x-gateway-error")) == (408, b"request_timeout")
    assert b"1000 bytes a second" in reply.body
    assert await wire.closed()
    assert app.bodies == []


async def test_a_steady_body_is_served(serve: Serve) -> None:
    """However long it takes: the rate is what counts."""
    wire = await (await serve(Recorder(), grace=1.0, min_rate=100)).wire()
    await wire.send(POST % 2_500)
    for _ in range(25):
        await asyncio.sleep(0.1)
        await wire.send(bytes(100))
    assert len((await wire.response()).body) == len("/p:") + 2_500


async def test_time_in_which_the_body_is_not_taken_does_not_count(serve: Serve) -> None:
    """While Invopop does not read, its caller cannot send."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        size, more, pauses = 0, True, 0
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
            await asyncio.sleep(0 if pauses else 3.0)
            pauses += 1
        await answer(send, b"%d" % size)

    served = await serve(app, grace=1.0, min_rate=1 << 20)
    wire = await served.wire()
    await wire.send(POST % BIG)
    wire.writer.write(bytes(BIG))
    assert (await wire.response()).body == b"%d" % BIG


async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
    """An app whose reply does not end by itself."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send(piece(bytes(65536)))


def recording(reasons: list[object]) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await streaming(scope, receive, send)
        except asyncio.CancelledError as reason:
            reasons.extend(reason.args)
            raise

    return app


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_a_trickling_reader_is_cut(
    serve: Serve, stack: AsyncExitStack, tmp_path: Path, tls: bool
) -> None:
    """It never stops reading for `write_timeout`, and yet its reply ends."""
    reasons: list[object] = []
    limits = {"grace": 1.0, "write_timeout": 15.0, "min_rate": 1 << 20}
    context = None
    if tls:
        authority = Authority(tmp_path)
        tls_listener = await opened(stack, **authority.listen)
        tls_listener.listener.app = recording(reasons)
        tls_listener.listener.limits = ConnectionLimits(**limits)  # type: ignore[arg-type]
        context, address = authority.client(), tls_listener.address
    else:
        address = (await serve(recording(reasons), **limits)).address
    async with await Wire.connect(address, tls=context, receive_buffer=16384) as wire:
        await wire.send(GET)
        async with asyncio.timeout(20):
            while not reasons:
                await wire.reader.read(8192)
                await asyncio.sleep(0.1)
    assert reasons == [CALLER_SLOW]


async def test_a_reply_that_comes_slowly_is_not_its_readers_fault(serve: Serve) -> None:
    """What Invopop does not send nobody can read."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20):
            await send(piece(b"x"))
            await asyncio.sleep(0.1)
        await send({"type": "http.response.body", "body": b""})

    served = await serve(app, grace=0.5, min_rate=1 << 20)
    wire = await served.wire()
    assert (await wire.exchange(GET)).body == b"x" * 20
