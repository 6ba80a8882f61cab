"""Timeouts, resets and races, over real TLS: what is retried, what is not, what comes back."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.connection import StaleConnectionError
from gateway.upstream.transport import Transport
from tests.support.origin import Connection, Origin, Script, answering, in_turn, ok
from tests.support.outbound import Body, begin, fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]


def hanging_up(c: Connection) -> None:
    """Answers once, then closes."""
    c.request()
    c.send(ok())
    c.close()


def reading_then_reset(c: Connection) -> None:
    """Answers once, reads the next request whole, and resets."""
    c.request()
    c.send(ok())
    c.request()
    c.reset()


async def test_an_upstream_that_never_answers(origin: Origins, transport: Transports) -> None:
    """Case 111: 504; the connection is closed, the slot comes back."""
    u = origin(lambda c: c.drain())
    t = transport()
    with pytest.raises(UpstreamError) as caught:
        await fetch(t, request(u.url, read=0.1))
    assert (caught.value.key, caught.value.kind) == ("upstream_timeout", "read_timeout")
    assert (t.pools[0].active, t.pools[0].idle) == (0, 0)
    await asyncio.to_thread(u.wait, lambda: u.connections[0].ended)


async def test_an_upstream_that_stalls_within_a_body(
    origin: Origins, transport: Transports
) -> None:
    """Case 113: the body breaks off with an error after `read` seconds of silence."""

    def stalling(c: Connection) -> None:
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        c.drain()

    u = origin(stalling)
    with pytest.raises(UpstreamError) as caught:
        await fetch(transport(), request(u.url, read=0.1))
    assert caught.value.kind == "read_timeout"


async def test_a_slow_body_that_moves_is_not_cut(origin: Origins, transport: Transports) -> None:
    """Only silence counts: together the pieces take longer than `read`."""
    pause = threading.Event()

    def slow(c: Connection) -> None:
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for byte in (b"a", b"b", b"c", b"d"):
            pause.wait(0.5)
            c.send(byte)
        c.drain()

    u = origin(slow)
    assert await fetch(transport(), request(u.url, read=1.5)) == (200, b"abcd")


async def test_a_slow_reader_is_not_the_upstreams_fault(
    origin: Origins, transport: Transports
) -> None:
    """Case 108: while the reader does not ask, no read timeout runs."""

    def big(c: Connection) -> None:
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n", bytes(4_000_000))
        c.drain()

    t = transport()
    reply = await begin(t, request(origin(big).url, read=0.5))
    pieces = reply.body.__aiter__()
    size = len(await anext(pieces))
    await asyncio.sleep(1.0)
    async for piece in pieces:
        size += len(piece)
    assert size == 4_000_000


async def test_a_slow_upload_is_not_the_upstreams_fault(
    origin: Origins, transport: Transports
) -> None:
    """The read timeout starts once the request is out."""

    class Slow(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            for _ in range(3):
                await asyncio.sleep(0.5)
                yield b"a"

    u = origin(answering(ok()))
    assert await fetch(transport(), request(u.url, "POST", Slow(), read=1.0)) == (200, b"ok")


@pytest.mark.parametrize("reused", [True, False])
async def test_a_post_is_never_sent_twice(
    origin: Origins, transport: Transports, reused: bool
) -> None:
    """Case 114: read whole, then reset: an error, and exactly one POST, also on a reused one."""

    def reset(c: Connection) -> None:
        c.request()
        c.reset()

    u = origin(reading_then_reset if reused else reset)
    t = transport()
    if reused:
        await fetch(t, request(u.url))
    with pytest.raises(UpstreamError) as caught:
        await fetch(t, request(u.url, "POST", Body(ready=b"x")))
    assert (caught.value.kind, caught.value.sent) == ("closed", True)
    assert [seen.method for seen in u.requests].count(b"POST") == 1


async def test_a_request_that_may_have_arrived_is_not_repeated_here(
    origin: Origins, transport: Transports
) -> None:
    """A reused connection that broke is told apart; who counts attempts decides on another."""
    u = origin(reading_then_reset)
    t = transport()
    await fetch(t, request(u.url))
    with pytest.raises(StaleConnectionError) as caught:
        await fetch(t, request(u.url))
    assert caught.value.sent
    assert len(u.requests) == 2


async def test_a_fresh_connection_that_breaks_is_not_repeated(
    origin: Origins, transport: Transports
) -> None:
    """Case 114: a GET may be repeated on a reused connection only."""

    def reset(c: Connection) -> None:
        c.request()
        c.reset()

    u = origin(reset)
    with pytest.raises(UpstreamError):
        await fetch(transport(), request(u.url))
    assert len(u.requests) == 1


async def test_a_reply_that_has_begun_is_not_repeated(
    origin: Origins, transport: Transports
) -> None:
    """One byte of a reply is the end of silent retries: it does not count as stale."""

    def begins(c: Connection) -> None:
        c.request()
        c.send(ok())
        c.request()
        c.send(b"HTTP/1.1")
        c.close()

    u = origin(begins)
    t = transport()
    await fetch(t, request(u.url))
    with pytest.raises(UpstreamError) as caught:
        await fetch(t, request(u.url))
    assert not isinstance(caught.value, StaleConnectionError)
    assert len(u.requests) == 2


async def test_a_body_that_is_being_read_is_not_repeated(
    origin: Origins, transport: Transports
) -> None:
    """What came from the caller is not available again here."""
    u = origin(reading_then_reset)
    t = transport()
    await fetch(t, request(u.url))
    with pytest.raises(UpstreamError):
        await fetch(t, request(u.url, "PUT", Body(b"a", b"b")))
    assert len(u.requests) == 2


@pytest.mark.parametrize("body", [Body(ready=b"x"), Body(b"a", b"b")], ids=["ready", "streamed"])
async def test_a_close_seen_before_writing_is_harmless(
    origin: Origins, transport: Transports, body: Body
) -> None:
    """Case 115: a POST goes out on another connection if none of its bytes was written."""
    u = origin(in_turn(hanging_up, answering(ok(b"second"))))
    t = transport()
    await fetch(t, request(u.url))
    # The event loop is kept from seeing the end: only the kernel knows.
    u.wait(lambda: u.connections[0].sock.fileno() < 0)
    assert await fetch(t, request(u.url, "POST", body)) == (200, b"second")


async def test_flapping_upstream_leaks_nothing(origin: Origins, transport: Transports) -> None:
    """Case 119: half of all connections are reset; the pool is whole afterwards."""

    def flapping(c: Connection) -> None:
        if c.request() is not None:
            c.send(ok()) if len(u.connections) % 2 else c.reset()

    u = origin(flapping)
    t = transport(max_connections=4)

    async def one() -> bool:
        try:
            return await fetch(t, request(u.url)) == (200, b"ok")
        except UpstreamError:
            return False

    outcomes = [await one() for _ in range(10)]
    for _ in range(10):
        outcomes += await asyncio.gather(*(one() for _ in range(10)))
    assert {True, False} == set(outcomes)
    assert (t.pools[0].active, t.pools[0].waiting) == (0, 0)
    assert len(asyncio.all_tasks()) == 1


async def test_idle_connections_are_closed(origin: Origins, transport: Transports) -> None:
    """Case 115: we close before an upstream or its load balancer would."""
    u = origin(answering(ok()))
    t = transport(max_idle=0.1)
    await fetch(t, request(u.url))
    assert t.pools[0].idle == 1
    await asyncio.to_thread(u.wait, lambda: u.connections[0].ended)
    assert t.pools[0].idle == 0


async def test_old_connections_are_retired(origin: Origins, transport: Transports) -> None:
    """Case 117: an address that changed is met with at the latest when connections age out."""
    u = origin(answering(ok()))
    t = transport(max_age=0.0)
    for _ in range(3):
        await fetch(t, request(u.url))
        assert t.pools[0].idle == 0
    assert len(u.connections) == 3


async def test_one_timer_serves_deadlines_that_come_sooner_and_later(
    origin: Origins, transport: Transports
) -> None:
    """A long idle limit does not hide a short read timeout behind it."""

    def once(c: Connection) -> None:
        c.request()
        c.send(ok())
        c.drain()

    u = origin(once)
    t = transport(max_idle=60.0)
    await fetch(t, request(u.url, read=60.0))
    with pytest.raises(UpstreamError) as caught:
        await fetch(t, request(u.url, read=0.1))
    assert caught.value.kind == "read_timeout"
