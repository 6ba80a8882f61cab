"""Request bodies over real sockets: streamed, stalled, refused early, never completed falsely."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest

from gateway.errors import GatewayFault, UpstreamError
from gateway.upstream.transport import Transport
from tests.support.origin import Connection, Origin, Script, answering, ok
from tests.support.outbound import Body, begin, fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]


async def test_a_ready_body_leaves_in_one_write_with_its_head(
    origin: Origins, transport: Transports
) -> None:
    """A body that is already in memory is not iterated and keeps its Content-Length."""
    u = origin(answering(ok()))
    assert await fetch(transport(), request(u.url, "POST", Body(ready=b"abc"))) == (200, b"ok")
    assert u.requests[0].body == b"abc"
    assert u.requests[0].values(b"content-length") == [b"3"]


async def test_a_streamed_body_is_chunked_and_empty_pieces_do_not_end_it(
    origin: Origins, transport: Transports
) -> None:
    """Case 83: an empty piece never becomes the last chunk."""
    u = origin(answering(ok()))
    await fetch(transport(), request(u.url, "POST", Body(b"a", b"", b"bc")))
    assert u.requests[0].raw.endswith(b"\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")


@pytest.mark.parametrize("pieces", [(b"ab",), (b"ab", b"cd")], ids=["too few", "too many"])
async def test_a_body_of_another_length_than_declared_is_never_completed(
    origin: Origins, transport: Transports, pieces: tuple[bytes, ...]
) -> None:
    """Case 74: the origin sees an incomplete request and a closed connection."""
    u = origin(lambda c: c.drain())
    sent = request(u.url, "POST", Body(*pieces), headers=((b"content-length", b"3"),))
    with pytest.raises(GatewayFault, match="internal_error"):
        await fetch(transport(), sent)
    await asyncio.to_thread(u.wait, lambda: u.connections[0].ended)
    assert u.received.endswith(b"\r\n\r\nab")


async def test_a_body_whose_source_fails_leaves_an_incomplete_request(
    origin: Origins, transport: Transports
) -> None:
    """Case 74: the source's own error is raised, no last chunk is sent."""

    class Failing(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"abc"
            raise LookupError

    u = origin(lambda c: c.drain())
    t = transport()
    with pytest.raises(LookupError):
        await fetch(t, request(u.url, "POST", Failing()))
    await asyncio.to_thread(u.wait, lambda: u.connections[0].ended)
    assert u.received.endswith(b"\r\n\r\n3\r\nabc\r\n")
    assert t.pools[0].active == 0


async def test_a_source_that_cancels_itself_ends_the_exchange(
    origin: Origins, transport: Transports
) -> None:
    """A caller that leaves is told by a CancelledError out of its body; it reaches the reader."""

    class Leaving(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"abc"
            raise asyncio.CancelledError("caller left")

    u = origin(lambda c: c.drain())
    t = transport()
    with pytest.raises(asyncio.CancelledError, match="caller left"):
        await fetch(t, request(u.url, "POST", Leaving()))
    assert t.pools[0].active == 0


async def test_early_reply_while_the_body_is_still_being_sent(
    origin: Origins, transport: Transports
) -> None:
    """The reply is handed on at once; then nothing reads the body's source any more."""
    stopped = asyncio.Event()

    class Endless(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            try:
                yield b"abc"
                await asyncio.Event().wait()
            finally:
                try:
                    await asyncio.sleep(0.05)  # it takes its time to let go
                finally:
                    stopped.set()

    def early(c: Connection) -> None:
        c.until(b"abc")
        c.send(ok(b"no"))
        c.drain()

    u = origin(early)
    t = transport()
    assert await fetch(t, request(u.url, "POST", Endless())) == (200, b"no")
    assert stopped.is_set()
    assert (t.pools[0].active, t.pools[0].idle) == (0, 0)
    await asyncio.to_thread(u.wait, lambda: u.connections[0].ended)


async def test_a_slow_body_on_a_kept_connection_is_not_idle(
    origin: Origins, transport: Transports
) -> None:
    """The time that a connection may be idle says nothing about its next request."""

    class Slow(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"abc"
            await asyncio.sleep(0.6)
            yield b"def"

    u = origin(answering(ok()))
    t = transport(max_idle=0.3)
    await fetch(t, request(u.url))
    assert (await fetch(t, request(u.url, "POST", Slow())))[0] == 200
    assert len(u.connections) == 1


async def test_upload_goes_on_while_an_early_reply_streams(
    origin: Origins, transport: Transports
) -> None:
    """An origin that answers as it reads gets the rest of the body; then all is reusable."""
    go = asyncio.Event()

    class Late(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield b"abc"
            await go.wait()
            yield b"def"

    def echo(c: Connection) -> None:
        c.until(b"abc\r\n")
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
        c.until(b"def\r\n0\r\n\r\n")
        c.send(b"def")
        c.drain()

    u = origin(echo)
    t = transport()
    reply = await begin(t, request(u.url, "POST", Late()))
    stream = reply.body
    body = stream.__aiter__()
    assert await anext(body) == b"abc"
    go.set()
    assert await anext(body) == b"def"
    await stream.aclose()
    assert t.pools[0].idle == 1


async def test_request_back_pressure(origin: Origins, transport: Transports) -> None:
    """Case 70: an origin that does not read stops the body's source after a few MiB at most."""
    taken = 0

    class Big(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            nonlocal taken
            for _ in range(512):
                taken += 1
                yield bytes(65536)

    gate = threading.Event()

    def slow(c: Connection) -> None:
        c.until(b"\r\n\r\n")
        gate.wait(10)
        c.exactly(512 * 65536)
        c.send(ok())

    u = origin(slow)
    sent = request(
        u.url, "POST", Big(), headers=((b"content-length", b"%d" % (512 * 65536)),), write=0.3
    )
    with pytest.raises(UpstreamError) as caught:
        await fetch(transport(), sent)
    assert (caught.value.kind, caught.value.sent) == ("write_timeout", True)
    assert taken < 256
    gate.set()


async def test_an_origin_that_reads_slowly_is_not_one_that_stalls(
    origin: Origins, transport: Transports
) -> None:
    """Case 70: `write` bounds the time in which nothing is read, however little is at a time."""

    class Big(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield bytes(65536)

    pause = threading.Event()

    def slow(c: Connection) -> None:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.until(b"\r\n\r\n")
        slow_until = time.monotonic() + 3
        while time.monotonic() < slow_until and c.sock.recv(16384):
            pause.wait(0.025)
        c.send(b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n")
        c.drain()

    u = origin(slow)
    assert (await fetch(transport(), request(u.url, "POST", Big(), write=1.0)))[0] == 413


async def test_an_early_refusal_survives_the_reset_behind_it(
    origin: Origins, transport: Transports
) -> None:
    """A 413 with the rest of the upload unread makes the kernel send an RST: the 413 wins."""

    class Pouring(Body):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                yield bytes(16384)
                await asyncio.sleep(0)

    def refusing(c: Connection) -> None:
        c.until(b"\r\n\r\n")
        c.send(b"HTTP/1.1 413 X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        c.close()

    u = origin(refusing)
    t = transport()
    for _ in range(10):
        assert await fetch(t, request(u.url, "POST", Pouring())) == (413, b"no")
