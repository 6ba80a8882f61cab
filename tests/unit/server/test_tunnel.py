"""The end of a tunnel: its TLS handshake waits for its turn while others have theirs."""

import asyncio
import ssl
from pathlib import Path

import pytest

from gateway.asgi import CALLER, TUNNEL, Receive, Scope, Send
from gateway.model import Tunnel
from gateway.turns import Turns
from tests.support.async_caller import Wire
from tests.support.held_loop import HeldLoop
from tests.unit.server.conftest import Recorder, Serve, Served
from tests.unit.server.opened import GET, Authority

CONNECT = b"CONNECT gw:443 HTTP/1.1\r\nHost: gw:443\r\n\r\n"


class Opens(Recorder):
    """Answers CONNECT with a tunnel, for a caller that it knows."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.authority = Authority(directory)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.authority.listen["tls_certificate"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "CONNECT":
            tunnel = Tunnel(host=b"gw", of_files=False, credential=None, context=self.context)
            await send({"type": TUNNEL, "tunnel": tunnel, CALLER: "one"})
        else:
            await super().__call__(scope, receive, send)


@pytest.fixture
def app(tmp_path: Path) -> Opens:
    return Opens(tmp_path)


def _waits(served: Served) -> HeldLoop:
    """From now on handshakes wait until the test says so."""
    loop = HeldLoop()
    served.listener.handshakes = Turns(loop, at_once=0)
    return loop


async def _connected(served: Served) -> Wire:
    wire = await served.wire()
    await wire.send(CONNECT)
    assert (await wire.head())[0] == 200
    return wire


async def _one_waits(served: Served) -> None:
    """Returns once a part of a handshake waits."""
    async with asyncio.timeout(20):
        while not served.listener.handshakes._waiting:
            await asyncio.sleep(0.001)


async def test_a_handshake_in_a_tunnel_waits_for_its_turn(serve: Serve, app: Opens) -> None:
    """On its caller's account, and so do the requests behind it; waiting makes it not late."""
    served = await serve(app, header_timeout=60.0)
    loop = _waits(served)
    wire = await _connected(served)
    tls = asyncio.ensure_future(
        wire.writer.start_tls(app.authority.client(), server_hostname="127.0.0.1")
    )
    await _one_waits(served)
    (end,) = served.listener.connections
    end._too_late()  # type: ignore[attr-defined]
    assert set(served.listener.handshakes._lines) == {"one"}
    loop.turn()
    await _one_waits(served)  # with its second part
    loop.turn()
    await tls
    assert served.connection.caller == "one"
    assert (await wire.exchange(GET)).status == 200


async def test_a_tunnel_that_ends_while_it_waits(serve: Serve, app: Opens) -> None:
    """Takes nobody's turn."""
    served = await serve(app)
    loop = _waits(served)
    wire = await _connected(served)
    await wire.send(b"\x16\x03\x01\x00\x05")
    await _one_waits(served)
    served.listener.stop()
    assert await wire.closed()
    assert served.listener.handshakes._waiting == 0
    loop.turn()
