"""A head waits for its turn while others do: it is not looked at, nor late, nor lost by that."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from gateway.asgi import ARRIVED, CALLER, Receive, Scope, Send
from gateway.server.connection import HIGH_WATER
from gateway.server.listener import READ_BLOCK
from gateway.turns import AT_ONCE, Turns
from tests.support.async_caller import Wire
from tests.support.held_loop import HeldLoop
from tests.unit.server.conftest import Recorder, Serve, Served

GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"
CROWD = 200


class Held:
    """A listener on which every head waits until the test says so."""

    def __init__(self, served: Served, app: Recorder) -> None:
        self.served = served
        self.app = app
        self.loop = HeldLoop()
        served.listener.turns = Turns(self.loop, at_once=0)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)

    async def sent(self, data: bytes) -> Wire:
        """A connection whose head waits."""
        wire = await self.served.wire()
        await self.send(wire, data)
        return wire

    async def send(self, wire: Wire, data: bytes) -> None:
        before = len(self.waiting)
        await wire.send(data)
        await self.until(lambda: len(self.waiting) > before)

    @property
    def waiting(self) -> bytes:
        return self.served.connection._waiting if self.served.listener.connections else b""


@pytest.fixture
def hold(serve: Serve) -> Callable[..., Awaitable[Held]]:
    async def hold(app: Recorder | None = None, **limits: float) -> Held:
        app = app or Recorder()
        return Held(await serve(app, **limits), app)

    return hold


Hold = Callable[..., Awaitable[Held]]


class Named(Recorder):
    """Says who calls: whoever the path names."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def named(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                message[CALLER] = scope["raw_path"][1:].decode()
            await send(message)

        await super().__call__(scope, receive, named)  # type: ignore[arg-type]


async def test_a_head_is_not_looked_at_before_its_turn(hold: Hold) -> None:
    """Then it is answered, and the app learns since when it has been here."""
    held = await hold()
    wire = await held.sent(GET)
    assert not held.served.listener.running
    held.loop.turn()
    assert (await wire.response()).status == 200
    assert held.app.scopes[0]["extensions"][ARRIVED] > 0


async def test_who_does_not_wait_has_not_arrived_earlier(serve: Serve) -> None:
    """A quiet connection's requests begin when they come."""
    app = Recorder()
    wire = await (await serve(app)).wire()
    for _ in range(3):
        assert (await wire.exchange(GET)).status == 200
    assert not any(ARRIVED in scope["extensions"] for scope in app.scopes)


async def test_a_head_may_come_in_pieces_while_it_waits(hold: Hold) -> None:
    """What comes behind the first piece waits with it, whatever its turn finds of it."""
    held = await hold()
    wire = await held.sent(GET[:9])
    await held.send(wire, GET[9:15])
    held.loop.turn()
    await held.send(wire, GET[15:])
    held.loop.turn()
    assert (await wire.response()).status == 200


async def test_requests_in_a_row_wait_each_for_its_own_turn(hold: Hold) -> None:
    """And are answered in their order."""
    held = await hold()
    wire = await held.sent(GET.replace(b"/x", b"/1") + GET.replace(b"/x", b"/2"))
    held.loop.turn()
    assert (await wire.response()).body == b"/1:"
    await held.until(lambda: bool(held.waiting))
    assert len(held.app.scopes) == 1
    held.loop.turn()
    assert (await wire.response()).body == b"/2:"


async def test_waiting_makes_no_head_late(hold: Hold) -> None:
    """What came in time is answered, not refused; what is not whole by then still is."""
    held = await hold(header_timeout=60.0)
    wire = await held.sent(GET[:9])
    connection = held.served.connection
    connection._read_expired()
    await held.send(wire, GET[9:])
    connection._read_expired()
    held.loop.turn()
    assert (await wire.response()).status == 200
    await held.send(wire, GET[:9])
    held.loop.turn()
    connection._read_expired()
    assert (await wire.response()).status == 408


async def test_a_head_that_waits_is_answered_at_the_end(hold: Hold) -> None:
    """A drain, and a certificate that is replaced, close no connection with a request on it."""
    held = await hold()
    retired = await held.sent(GET)
    held.served.connection.retire()
    held.loop.turn()
    reply = await retired.response()
    assert (reply.status, reply.header("connection")) == (200, b"close")
    await retired.closed()
    await held.until(lambda: not held.served.listener.connections)
    drained = await held.sent(GET)
    held.served.listener.stop()
    held.loop.turn()
    reply = await drained.response()
    assert (reply.status, reply.header("connection")) == (200, b"close")


async def test_who_leaves_waits_no_more(hold: Hold) -> None:
    """Nothing of it begins, and nothing of it is kept."""
    held = await hold()
    wire = await held.sent(GET)
    wire.reset()
    await held.until(lambda: not held.served.listener.connections)
    assert held.served.listener.turns._waiting == 0
    held.loop.turn()
    assert held.app.scopes == []


async def test_what_waits_is_bounded(hold: Hold) -> None:
    """No more than may wait behind a request in flight; the rest is read once there is room."""
    held = await hold()
    wire = await held.sent(GET)
    count = 8 * HIGH_WATER // len(GET)
    wire.writer.write(GET * count)
    connection = held.served.connection
    await held.until(lambda: not connection._reading)
    assert HIGH_WATER < len(held.waiting) <= HIGH_WATER + READ_BLOCK
    held.served.listener.turns = Turns(asyncio.get_running_loop())
    held.loop.turn()
    for _ in range(count + 1):
        assert (await wire.response()).status == 200


async def test_a_connection_waits_on_its_callers_account(hold: Hold) -> None:
    """Of whoever sent its last request; by then a new one is as good as any other."""
    held = await hold(Named())
    wire = await held.served.wire()
    assert held.served.connection.caller is None
    for caller in ("one", "", "two"):
        await held.send(wire, GET.replace(b"/x", b"/" + caller.encode()))
        held.loop.turn()
        assert (await wire.response()).status == 200
        assert held.served.connection.caller == caller


async def test_many_connections_do_not_stand_in_front_of_another_callers(serve: Serve) -> None:
    """All of them are ready at once, in front of the other's: few of their requests go first."""
    served = await serve(app := Named())
    good = await served.wire()
    assert (await good.exchange(GET.replace(b"/x", b"/good"))).status == 200
    crowd = [await served.wire() for _ in range(CROWD)]
    for wire in crowd:
        assert (await wire.exchange(GET.replace(b"/x", b"/flood"))).status == 200
    began = len(app.scopes)
    # At the sockets themselves, so that all are sent before the loop reads any.
    for wire in (*crowd, good):
        sock = wire.writer.get_extra_info("socket")
        path = b"/good" if wire is good else b"/flood"
        _send_now(sock, GET.replace(b"/x", path))
    for wire in (good, *crowd):
        assert (await wire.response()).status == 200
    order = [scope["raw_path"] for scope in app.scopes[began:]]
    assert len(order) == CROWD + 1
    assert order.index(b"/good") <= AT_ONCE + 48  # the crowd's credit as a caller so far quiet


def _send_now(sock: socket.socket, data: bytes) -> None:
    with socket.socket(fileno=socket.dup(sock.fileno())) as own:
        own.send(data)
