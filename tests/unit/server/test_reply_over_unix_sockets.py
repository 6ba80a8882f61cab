"""Replies to HTTP/1.0 over a Unix socket, which has no reset: whole or not at all."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.errors import GatewayFault
from gateway.server.reply import HELD
from tests.support.async_caller import Wire
from tests.unit.server.opened import Bare, Opened


class Scripted(Bare):
    """Sends a body of unknown length in pieces, whole or broken off."""

    def __init__(self, *pieces: bytes, whole: bool = True) -> None:
        super().__init__()
        self.pieces, self.whole = pieces, whole

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for body in self.pieces:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if not self.whole:
            raise GatewayFault("upstream_timeout")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.mark.parametrize(
    ("app", "status", "body"),
    [
        (Scripted(b"one", b"two"), 200, b"onetwo"),
        (Scripted(), 200, b""),
        (Scripted(b"one", whole=False), 504, None),
        (Scripted(bytes(HELD)), 200, bytes(HELD)),
        (Scripted(bytes(HELD), b"x"), 505, None),
    ],
)
async def test_case_85_over_a_unix_socket_http_1_0_gets_whole_replies_only(
    stack: AsyncExitStack, tmp_path: Path, app: Bare, status: int, body: bytes | None
) -> None:
    """Its end of a body is the connection's, and a Unix socket has no reset to tell them apart."""
    path = str(tmp_path / "s")
    made = Opened(app, socket=path)
    await made.door.open()
    stack.push_async_callback(made.door.drain, 5)
    async with await Wire.connect(path) as wire:
        reply = await wire.exchange(b"GET /x HTTP/1.0\r\n\r\n")
        assert reply.status == status
        assert (reply.header("content-length") or b"").isdigit()
        assert body is None or reply.body == body
        assert await wire.closed()
