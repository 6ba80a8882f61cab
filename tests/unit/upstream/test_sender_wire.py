"""The sender over real sockets: kept connections that prove to be closed, and bodies sent again."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamError
from gateway.events import Event, UpstreamRetried
from gateway.inbound_body import InboundBody
from gateway.model import Exchange, Outbound
from gateway.upstream.breaker import Breaker
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.request_encoder import Timeouts
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender
from gateway.upstream.target import authority_of
from gateway.upstream.transport import Transport
from tests.support.origin import Connection, Origin, Script, answering, in_turn, ok
from tests.support.scripted_sender import IDEMPOTENT, content, key

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"


class World:
    """A sender whose requests go to one origin."""

    def __init__(self, transport: Transport, origin: Origin) -> None:
        self.events: list[Event] = []
        authority = authority_of(origin.url)
        exchange = transport.exchange_with(authority, Timeouts())
        forwarder = Forwarder(exchange, authority, self.events.append)
        retries = Retries(RetryRules(2, IDEMPOTENT), lambda: 0.0)
        self.sender = Sender(forwarder, retries, Breaker(0.5, 5.0), self.events.append)

    async def send(self, method: str, target: bytes = b"/x") -> bytes:
        return await self.stream(method, None, (b"accept", b"*/*"), target=target)

    async def stream(
        self,
        method: str,
        body: InboundBody | None,
        framing: tuple[bytes, bytes],
        *,
        target: bytes = b"/x",
    ) -> bytes:
        """The content of the reply to that request."""
        outbound = Outbound(method, target, [(b"host", b"localhost"), framing], body)
        return await content(await self.sender.send(outbound, key(), Exchange(0.0, "id")))

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, UpstreamRetried)]


def reading_then_reset(c: Connection) -> None:
    """Answers once, reads the next request whole, and resets."""
    c.request()
    c.send(ok())
    c.request()
    c.reset()


def hanging_up(c: Connection) -> None:
    """Answers once, then closes."""
    c.request()
    c.send(ok())
    c.close()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_idempotent_request_goes_out_again_on_a_fresh_connection(
    origin: Origins, transport: Transports, method: str
) -> None:
    """Case 114: though another kept one is there, that may be closed as well."""
    u = origin(in_turn(reading_then_reset, reading_then_reset, answering(ok(b"fresh"))))
    world = World(transport(), u)
    await asyncio.gather(world.send("GET"), world.send("GET"))
    assert await world.send(method) == b"fresh"
    assert world.reasons() == ["stale"]
    assert len(u.connections) == 3


async def test_a_post_does_not(origin: Origins, transport: Transports) -> None:
    """Case 114: it may have been read."""
    u = origin(in_turn(reading_then_reset, answering(ok())))
    world = World(transport(), u)
    await world.send("GET")
    with pytest.raises(UpstreamError):
        await world.send("POST")
    assert [seen.method for seen in u.requests] == [b"GET", b"POST"]


async def test_keep_alive_race(origin: Origins, transport: Transports) -> None:
    """Case 115: an upstream that closes after each reply costs no GET, and doubles no POST."""
    u = origin(hanging_up)
    t = transport()
    world = World(t, u)
    for turn in range(60):
        assert await world.send("GET", b"/%d" % turn) == b"ok"
    for turn in range(60):
        with contextlib.suppress(UpstreamError):
            await world.send("POST", b"/p%d" % turn)
    targets = [seen.target for seen in u.requests if seen.method == b"POST"]
    assert len(targets) == len(set(targets))
    assert t.pools[0].active == 0


async def test_a_refused_reply_leaves_its_connection_usable(
    origin: Origins, transport: Transports
) -> None:
    """Where the refusal came whole, the next attempt needs no new connection."""
    u = origin(answering(BUSY, ok(b"second")))
    world = World(transport(), u)
    assert await world.send("GET") == b"second"
    assert len(u.connections) == 1
    assert world.reasons() == ["status_503"]


async def test_a_body_under_way_is_sent_again_from_its_start(
    origin: Origins, transport: Transports
) -> None:
    """An early 503 amid a caller's body: what was read is replayed, the rest follows."""
    loop, parts = asyncio.get_running_loop(), asyncio.Queue[dict[str, object]]()

    def part(data: bytes, more: bool = True) -> None:
        parts.put_nowait({"type": "http.request", "body": data, "more_body": more})

    def early(c: Connection) -> None:
        c.until(b"one\r\n")
        c.send(BUSY)
        c.drain()

    def late(c: Connection) -> None:
        c.until(b"one\r\n")
        loop.call_soon_threadsafe(part, b"two", False)
        assert c.until(b"two\r\n0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
        c.send(ok(b"second"))

    world = World(transport(), origin(in_turn(early, late)))
    part(b"one")
    body = InboundBody(parts.get, 0)
    answer = await world.stream("PUT", body, (b"transfer-encoding", b"chunked"))
    assert answer == b"second"
    assert body.received == 6
