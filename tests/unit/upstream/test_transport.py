"""The transport over real sockets: what goes out, what comes back, and what is never reused."""

import asyncio
from collections.abc import Callable

from gateway.events import Event, UpstreamConnected
from gateway.upstream.transport import Transport
from tests.support.origin import Connection, Origin, Script, answering, ok
from tests.support.outbound import begin, fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]


async def test_get_sends_the_given_head_and_nothing_else(
    origin: Origins, transport: Transports
) -> None:
    """A request is on the wire byte for byte as given; case 33: a GET has no framing field."""
    u = origin(answering(ok(b"pong")))
    sent = request(u.url, target=b"/a%2Fb?", headers=((b"x-a", b"1"), (b"x-a", b"\xff")))
    assert await fetch(transport(), sent) == (200, b"pong")
    assert u.received == b"GET /a%2Fb? HTTP/1.1\r\nhost: localhost\r\nx-a: 1\r\nx-a: \xff\r\n\r\n"


async def test_connections_are_reused(
    origin: Origins, transport: Transports, events: list[Event]
) -> None:
    """Case 132: exchanges follow each other on one connection; each connect is told."""
    u = origin(answering(ok(b"1"), ok(b"2"), ok(b"3")))
    t = transport()
    bodies = [(await fetch(t, request(u.url)))[1] for _ in range(3)]
    assert bodies == [b"1", b"2", b"3"]
    assert len(u.connections) == 1
    assert events == [UpstreamConnected("success")]
    assert repr(t.pools[0]) == "<Pool 0 active, 1 idle, 0 waiting>"


async def test_response_back_pressure(origin: Origins, transport: Transports) -> None:
    """Case 71: a reader that does not read stops the origin; what it then reads is complete."""
    size = 64 * 1024 * 1024
    sent = 0

    def fast(c: Connection) -> None:
        nonlocal sent
        c.request()
        c.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 65536):
            c.sock.sendall(bytes(65536))
            sent += 65536
        answering(ok(b"next"))(c)

    u = origin(fast)
    t = transport()
    reply = await begin(t, request(u.url))
    held = -1
    while held != sent:  # until the origin is stuck
        held = sent
        await asyncio.sleep(0.1)
    assert held < size // 2
    got = 0
    async for piece in reply.body:
        assert len(piece) <= 1024 * 1024
        got += len(piece)
    assert got == size
    assert await fetch(t, request(u.url)) == (200, b"next")
    assert len(u.connections) == 1


async def test_tenants_never_share_a_connection_at_once(
    origin: Origins, transport: Transports
) -> None:
    """Case 131: under contention each request gets its own answer back."""

    def mirror(c: Connection) -> None:
        while (seen := c.request()) is not None:
            c.send(ok(seen.target))

    u = origin(mirror)
    t = transport(max_connections=4)

    async def one(number: int) -> bool:
        target = b"/%d" % number
        return await fetch(t, request(u.url, target=target)) == (200, target)

    assert all(await asyncio.gather(*(one(number) for number in range(16))))
    assert len(u.connections) <= 4
    assert (t.pools[0].active, t.pools[0].waiting) == (0, 0)


async def test_redirects_and_cookies_are_left_alone(origin: Origins, transport: Transports) -> None:
    """Cases 44, 65: a redirect is relayed, a cookie is not remembered."""
    moved = b"HTTP/1.1 307 X\r\nLocation: //evil\r\nSet-Cookie: sid=1\r\nContent-Length: 0\r\n\r\n"
    u = origin(answering(moved, ok()))
    t = transport()
    assert (await fetch(t, request(u.url)))[0] == 307
    await fetch(t, request(u.url))
    assert b"sid" not in u.received
    assert len(u.requests) == 2
