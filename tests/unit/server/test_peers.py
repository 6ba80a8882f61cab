"""Who a connection's peer is, by the word of the kernel and of TLS; the limits hold for TLS too."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from math import inf
from pathlib import Path

import pytest
import trustme

from gateway.errors import GatewayFault
from gateway.events import Event
from gateway.model import Peer
from gateway.server.listener import Limits, Listener
from gateway.server.listener_server import ListenerServer
from gateway.server.reply import HELD
from gateway.server.sockets import open_callers
from gateway.settings.schema import Settings
from tests.support.wire import Wire
from tests.unit.server.conftest import Recorder

GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"


class Opened:
    """A listener as settings describe it."""

    def __init__(self, app: Recorder, header_timeout: float = 0.2, /, **listen: object) -> None:
        self.events: list[Event] = []
        self.app = app
        sockets = open_callers(Settings.model_validate({"listen": {"port": 0} | listen}).listen)
        self.address = sockets.bound[0].getsockname()[:2]
        limits = Limits(header_timeout=header_timeout, max_connections=3)
        self.listener = Listener(app, limits, lambda: "id", self.events.append)
        self.door = ListenerServer("callers", self.listener, sockets)

    @property
    def peer(self) -> Peer:
        """The last request's peer."""
        peer = self.app.scopes[-1]["extensions"]["invopop_gateway.peer"]
        assert isinstance(peer, Peer)
        return peer


class Bare(Recorder):
    """A recorder that lets the life span pass."""

    async def __call__(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        if scope["type"] != "lifespan":
            await super().__call__(scope, receive, send)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test has opened."""
    async with AsyncExitStack() as stack:
        yield stack


async def opened(stack: AsyncExitStack, header_timeout: float = 0.2, /, **listen: object) -> Opened:
    """An open listener that is drained at the test's end."""
    made = Opened(Bare(), header_timeout, **listen)
    await made.door.open()
    stack.push_async_callback(made.door.drain, 5)
    return made


async def test_an_ipv4_peer_of_a_dual_stack_socket_is_ipv4(stack: AsyncExitStack) -> None:
    """Or networks in the configuration would not match it."""
    served = await opened(stack, host="::")
    async with await Wire.connect(("127.0.0.1", served.address[1])) as wire:
        await wire.exchange(GET)
    assert served.peer == Peer("127.0.0.1")


async def test_the_peer_of_a_unix_socket_is_its_uid(stack: AsyncExitStack, tmp_path: Path) -> None:
    """As the kernel tells it; there is no address."""
    path = str(tmp_path / "s")
    served = await opened(stack, socket=path)
    async with await Wire.connect(path) as wire:
        await wire.exchange(GET)
    assert served.peer == Peer("", uid=os.getuid())
    assert served.app.scopes[-1]["client"] is None


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


class Authority:
    """A CA with a server certificate, and clients that trust it."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        issued = self.ca.issue_cert("127.0.0.1")
        self.ca.cert_pem.write_to_path(str(directory / "ca.pem"))
        issued.private_key_and_cert_chain_pem.write_to_path(str(directory / "both.pem"))
        both = str(directory / "both.pem")
        self.listen = {
            "tls_certificate": both,
            "tls_key": both,
            "client_ca": str(directory / "ca.pem"),
        }

    def client(self, *names: str) -> ssl.SSLContext:
        """A client's side, with a certificate of these names if there are any."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if names:
            self.ca.issue_cert(*names).configure_cert(context)
        return context


async def test_the_peer_with_a_certificate(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Its names are known; without one they are None, which is not the same as no names."""
    authority = Authority(tmp_path)
    served = await opened(stack, **authority.listen)
    for names, peer in (
        ((), Peer("127.0.0.1")),
        (("a.test", "b.test"), Peer("127.0.0.1", uris=(), dns_names=("a.test", "b.test"))),
    ):
        async with await Wire.connect(served.address, tls=authority.client(*names)) as wire:
            await wire.exchange(GET)
        assert served.peer._replace(until=inf) == peer
        assert (served.peer.until < inf) == bool(names)
        assert served.app.scopes[-1]["scheme"] == "https"


async def test_case_106_a_silent_tls_handshake_is_bounded(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    """By `header_timeout`, as all that comes before a request is."""
    served = await opened(stack, **Authority(tmp_path).listen)
    async with await Wire.connect(served.address) as wire:
        assert await wire.closed()


async def test_case_106_silent_tls_handshakes_have_their_place_among_the_connections(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    """No more than `max_connections` are open, and with their end there is room again."""
    authority = Authority(tmp_path)
    served = await opened(stack, 30.0, **authority.listen)
    silent = [await stack.enter_async_context(await Wire.connect(served.address)) for _ in range(3)]
    async with asyncio.timeout(5):
        while len(served.listener.connections) < 3:
            await asyncio.sleep(0.001)
    async with await Wire.connect(served.address) as wire:
        assert await wire.closed()
    await silent[0].close()
    async with asyncio.timeout(5):
        while len(served.listener.connections) > 2:
            await asyncio.sleep(0.001)
    async with await Wire.connect(served.address, tls=authority.client()) as wire:
        assert (await wire.exchange(GET)).status == 200
        assert len(served.listener.connections) == 3


async def test_case_108_the_last_of_a_tls_reply_may_be_read_slowly(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    """As slowly as the rest of it: `write_timeout` is the longest stall, also at the end."""
    authority = Authority(tmp_path)
    served = await opened(stack, 10.0, **authority.listen)
    body = bytes(3_000_000)
    async with await Wire.connect(
        served.address, tls=authority.client(), receive_buffer=4096
    ) as wire:
        head = b"POST /x HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        await wire.send(head % len(body) + body)
        assert (await wire.head())[0] == 200
        wire.stop_reading()
        await asyncio.sleep(3)
        wire.read_on()
        received = 0
        while piece := await asyncio.wait_for(wire.reader.read(65536), 10):
            received += len(piece)
    assert received == len(b"/x:" + body)


async def test_an_early_reply_over_tls(stack: AsyncExitStack, tmp_path: Path) -> None:
    """A refusal reaches a caller that is still sending, and the connection ends."""
    authority = Authority(tmp_path)
    served = await opened(stack, **authority.listen)
    async with await Wire.connect(served.address, tls=authority.client()) as wire:
        wire.writer.write(b"POST / HTTP/1.1\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000))
        assert (await wire.response()).status == 400
        assert await wire.closed()
