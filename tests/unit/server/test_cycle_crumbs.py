"""A body in crumbs that the app does not take yet: held as its bytes, not as so many objects."""

import asyncio

from gateway.asgi import Receive, Scope, Send
from gateway.framing import MOST_PIECES
from tests.unit.server.conftest import Serve, answer

HEAD = b"POST /x HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n"
CRUMBS = 2000


async def test_crumbs_are_joined(serve: Serve) -> None:
    """The app gets every byte, however many reads it took."""
    go = asyncio.Event()
    bodies = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        bodies.append((await receive())["body"])
        await answer(send, b"ok")

    served = await serve(app)
    wire = await served.wire()
    await wire.send(HEAD % (2 * CRUMBS))
    await served.busy()
    connection = served.connection
    for _ in range(CRUMBS):
        connection.data_received(b"xy")
    assert connection.cycle is not None
    assert len(connection.cycle._chunks) <= MOST_PIECES
    go.set()
    assert (await wire.response()).body == b"ok"
    assert bodies == [b"xy" * CRUMBS]
