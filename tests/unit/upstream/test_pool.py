"""The pool: its limit, its line, and that no cancellation ever costs a slot."""

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import GatewayFault, UpstreamError
from gateway.upstream.transport import Transport
from tests.support.origin import Connection, Origin, Script, answering, ok
from tests.support.outbound import TIMEOUTS, Body, Sending, begin, fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]


async def turns(condition: Callable[[], bool]) -> None:
    """Lets the event loop run until something holds true."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_waiting_ends_as_overloaded(origin: Origins, transport: Transports) -> None:
    """Case 128: 503 with Retry-After after `pool` seconds in line; the line is left."""
    u = origin(lambda c: c.drain())
    t = transport(max_connections=1)
    slow = asyncio.create_task(fetch(t, request(u.url)))
    await turns(lambda: bool(u.connections))
    with pytest.raises(GatewayFault) as caught:
        await fetch(t, request(u.url, pool=0.05))
    assert caught.value.key == "overloaded"
    assert caught.value.headers == [(b"retry-after", b"1")]
    assert repr(t.pools[0]) == "<Pool 1 active, 0 idle, 0 waiting>"
    slow.cancel()
    await asyncio.wait([slow])
    assert t.pools[0].active == 0


async def test_the_line_is_bounded(origin: Origins, transport: Transports) -> None:
    """Case 128: past four in line for each connection the answer is immediate."""
    u = origin(lambda c: c.drain())
    t = transport(max_connections=1)
    tasks = [asyncio.create_task(fetch(t, request(u.url))) for _ in range(5)]
    await turns(lambda: bool(t.pools) and t.pools[0].waiting == 4)
    with pytest.raises(GatewayFault, match="overloaded"):
        await fetch(t, request(u.url, pool=60.0))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert (t.pools[0].active, t.pools[0].waiting) == (0, 0)


async def test_a_request_that_wants_no_kept_connection_takes_its_place(
    origin: Origins, transport: Transports
) -> None:
    """Where all there may be are idle, one of them makes room: nobody waits for a place."""
    u = origin(answering(ok()))
    t = transport(max_connections=1)
    await fetch(t, request(u.url))
    url, outbound, _ = request(u.url)
    fresh = Sending(url, replace(outbound, fresh=True), TIMEOUTS._replace(pool=0.0))
    await (await begin(t, fresh)).body.aclose()
    assert [len(connection.requests) for connection in u.connections] == [1, 1]


async def test_the_line_is_served_in_order(origin: Origins, transport: Transports) -> None:
    """Case 129: nobody overtakes."""
    gate = threading.Event()

    def gated(c: Connection) -> None:
        while (seen := c.request()) is not None:
            gate.wait(10)
            c.send(ok(seen.target))

    u = origin(gated)
    t = transport(max_connections=1)
    done: list[int] = []

    async def one(number: int) -> None:
        await fetch(t, request(u.url, target=b"/%d" % number))
        done.append(number)

    tasks = []
    for number in range(4):
        tasks.append(asyncio.create_task(one(number)))
        await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks)
    assert done == [0, 1, 2, 3]
    assert [seen.target for seen in u.requests] == [b"/0", b"/1", b"/2", b"/3"]


async def test_a_slot_passes_to_the_line_when_its_connection_dies(
    origin: Origins, transport: Transports
) -> None:
    """Case 127: the next in line dials with it."""

    def once(c: Connection) -> None:
        c.request()
        c.send(ok(b"x", b"Connection: close"))
        c.close()

    u = origin(once)
    t = transport(max_connections=1)
    replies = await asyncio.gather(*(fetch(t, request(u.url)) for _ in range(4)))
    assert replies == [(200, b"x")] * 4
    assert t.pools[0].active == 0


async def test_a_connect_that_fails_passes_its_slot_on(transport: Transports) -> None:
    """Case 127: everyone in line gets an answer of their own."""
    t = transport(max_connections=1)
    sent = [fetch(t, request("https://127.0.0.1:1")) for _ in range(3)]
    errors = await asyncio.gather(*sent, return_exceptions=True)
    assert [error.kind for error in errors if isinstance(error, UpstreamError)] == (
        ["connect_refused"] * 3
    )
    assert (t.pools[0].active, t.pools[0].waiting) == (0, 0)


async def test_a_cancelled_request_closes_its_connection(
    origin: Origins, transport: Transports
) -> None:
    """Cases 120, 123: the upstream sees it at once."""
    u = origin(lambda c: c.drain())
    t = transport()
    task = asyncio.create_task(fetch(t, request(u.url, "POST", Body(b"a"))))
    await turns(lambda: b"a" in u.received)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (t.pools[0].active, t.pools[0].idle) == (0, 0)
    await asyncio.to_thread(u.wait, lambda: u.connections[0].ended)


async def test_a_reply_closed_half_read_closes_its_connection(
    origin: Origins, transport: Transports
) -> None:
    """Cases 121, 122: also before its first piece."""

    def endless(c: Connection) -> None:
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        c.drain()

    u = origin(endless)
    t = transport()
    reply = await begin(t, request(u.url))
    await reply.body.aclose()
    await reply.body.aclose()
    assert (t.pools[0].active, t.pools[0].idle) == (0, 0)
    await asyncio.to_thread(u.wait, lambda: u.connections[0].ended)


async def test_storms_of_cancellations_under_contention(
    origin: Origins, transport: Transports
) -> None:
    """Case 127: whatever moment a request is cancelled in, the pool is whole afterwards."""
    chance = random.Random(7)
    u = origin(answering(ok(b"x" * 2000)))
    t = transport(max_connections=5)

    async def one(number: int) -> None:
        body = Body(b"a", b"b") if number % 3 == 0 else None
        await fetch(t, request(u.url, "PUT" if body else "GET", body))

    for storm in range(30):
        tasks = [asyncio.create_task(one(number)) for number in range(15)]
        for task in chance.sample(tasks, 9):
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if storm % 3 == 0:
                await asyncio.sleep(chance.random() / 500)
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        assert (t.pools[0].active, t.pools[0].waiting) == (0, 0)
        assert t.pools[0].idle <= 5
    replies = await asyncio.gather(*(fetch(t, request(u.url)) for _ in range(5)))
    assert [status for status, _ in replies] == [200] * 5
    assert len(asyncio.all_tasks()) == 1


async def test_after_closing_nothing_stays_idle(origin: Origins, transport: Transports) -> None:
    """A transport that was replaced on a reload finishes its exchanges and keeps nothing."""
    u = origin(answering(ok()))
    t = transport()
    await fetch(t, request(u.url))
    await t.aclose()
    assert t.pools[0].idle == 0
    assert await fetch(t, request(u.url)) == (200, b"ok")
    assert t.pools[0].idle == 0
