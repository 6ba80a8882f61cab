"""A caller that pipelines without end, or reads nothing: what it sends and gets stays bounded."""

import asyncio

from gateway.asgi import Receive, Scope, Send
from gateway.server.connection import HIGH_WATER
from gateway.server.cycle import PIECE
from gateway.server.listener import READ_BLOCK
from tests.unit.server.conftest import Serve, Served, answer

GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"


def _held(served: Served) -> int:
    """What a connection holds of what its caller has sent."""
    return len(served.connection._buffer)


async def test_requests_in_a_row_are_read_no_further_than_they_are_served(serve: Serve) -> None:
    """Case 70: a caller that pipelines without end fills no more than the bound and one read."""
    most = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal most
        most = max(most, _held(served))
        await answer(send, b"ok")

    served = await serve(app)
    wire = await served.wire()
    padded = GET.replace(b"\r\n\r\n", b"\r\nX-Pad: " + b"x" * 1000 + b"\r\n\r\n")
    wire.writer.write(padded * 2000)
    for _ in range(2000):
        assert (await wire.response()).body == b"ok"
    assert HIGH_WATER / 2 < most <= HIGH_WATER + READ_BLOCK


async def test_no_request_is_begun_while_replies_pile_up(serve: Serve) -> None:
    """Case 70: a caller that reads nothing has no more than a little done for it."""
    begun = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal begun
        begun += 1
        await answer(send, bytes(60_000))

    served = await serve(app, idle_timeout=0.05)
    wire = await served.wire(receive_buffer=4096)
    wire.stop_reading()
    await wire.send(GET * 600)
    async with asyncio.timeout(5):
        while not served.connection.write_paused or served.connection._reading:
            await asyncio.sleep(0.01)
    before = begun
    await asyncio.sleep(0.3)  # nor is it the idle time that runs while it does not read
    assert begun == before < 400
    assert served.refusals == []
    wire.read_on()
    for _ in range(600):
        assert len((await wire.response()).body) == 60_000
    assert begun == 600


async def test_a_long_reply_is_written_as_it_is_taken(serve: Serve) -> None:
    """What the app hands over at once does not lie unsent, in a copy of the connection's own."""
    body, most = bytes(range(256)) * 32_768, 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, body)

    served = await serve(app)
    wire = await served.wire(receive_buffer=4096)
    wire.stop_reading()
    await wire.send(GET)
    async with asyncio.timeout(5):
        while not (wires := list(served.listener.connections)) or not served.listener.running:
            await asyncio.sleep(0.001)
        transport = served.connection._transport
        while not served.connection.write_paused:
            await asyncio.sleep(0.001)
            most = max(most, transport.get_write_buffer_size())
    assert len(wires) == 1
    assert 0 < transport.get_write_buffer_size() <= HIGH_WATER + PIECE + 4096
    assert most <= HIGH_WATER + PIECE + 4096
    wire.read_on()
    assert (await wire.response()).body == body


async def test_a_caller_that_leaves_amid_a_long_reply_is_no_defect(serve: Serve) -> None:
    """Between two pieces of it the connection is lost: the app is cancelled, nothing is written."""
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asyncio.get_running_loop().call_soon(served.connection.abort)
        try:
            await answer(send, bytes(400 * PIECE))
        except BaseException as error:
            ended.append(type(error).__name__)
            raise

    served = await serve(app)
    wire = await served.wire()
    await wire.send(GET)
    async with asyncio.timeout(5):
        while not ended:
            await asyncio.sleep(0.001)
    assert ended == ["CancelledError"]
