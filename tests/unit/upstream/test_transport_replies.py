"""What an upstream may do to a reply, over real TLS: each fault is an error, none is an end."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.transport import Transport
from tests.support.origin import Connection, Origin, Script, answering, in_turn, ok
from tests.support.outbound import Body, Sending, begin, fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"


async def failing(transport: Transport, sent: Sending) -> UpstreamError:
    """The error that a request ends with; its slot has come back by then."""
    with pytest.raises(UpstreamError) as caught:
        await fetch(transport, sent)
    assert transport.pools[0].active == 0
    return caught.value


@pytest.mark.parametrize(
    ("method", "reply", "extra"),
    [
        ("GET", ok(), POISON),
        ("GET", ok(), b"x"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", POISON),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n", POISON),
        ("GET", b"HTTP/1.1 204 X\r\n\r\n", POISON),
        ("GET", b"HTTP/1.1 304 X\r\nContent-Length: 45\r\n\r\n", POISON),
    ],
)
@pytest.mark.parametrize("together", [True, False])
async def test_response_queue_poisoning(  # noqa: PLR0917
    origin: Origins,
    transport: Transports,
    method: str,
    reply: bytes,
    extra: bytes,
    together: bool,
) -> None:
    """Case 101: the next request goes out on a new connection and gets its own answer."""

    def poisoned(c: Connection) -> None:
        c.request()
        c.send(*([reply + extra] if together else [reply, extra]))
        c.drain()

    u = origin(in_turn(poisoned, answering(ok(b"own"))))
    t = transport()
    await fetch(t, request(u.url, method))
    await asyncio.to_thread(u.wait, lambda: len(u.connections) > 1 or u.connections[0].ended)
    assert await fetch(t, request(u.url)) == (200, b"own")
    assert len(u.connections) == 2


async def test_bytes_that_only_the_kernel_has_seen_poison_too(
    origin: Origins, transport: Transports
) -> None:
    """Case 101: what came on an idle connection is never read as the next request's reply."""
    sent = threading.Event()

    def poisoned(c: Connection) -> None:
        c.request()
        c.send(ok())
        go.wait(10)
        c.send(POISON)
        sent.set()
        c.drain()

    go = threading.Event()
    u = origin(in_turn(poisoned, answering(ok(b"own"))))
    t = transport()
    await fetch(t, request(u.url))
    go.set()
    sent.wait(10)  # blocks the event loop on purpose: it cannot have read them
    assert await fetch(t, request(u.url)) == (200, b"own")


async def test_408_on_an_idle_connection_is_dropped(origin: Origins, transport: Transports) -> None:
    """Case 102: it answers nobody."""

    def bored(c: Connection) -> None:
        c.request()
        c.send(ok())
        c.send(b"HTTP/1.1 408 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        c.close()

    u = origin(in_turn(bored, answering(ok(b"own"))))
    t = transport()
    await fetch(t, request(u.url))
    await asyncio.to_thread(u.wait, lambda: u.connections[0].sock.fileno() < 0)
    assert await fetch(t, request(u.url, "POST", Body(ready=b"x"))) == (200, b"own")


async def test_head_leaves_the_connection_reusable(origin: Origins, transport: Transports) -> None:
    """Case 87: no body is waited for, and the next exchange goes on there."""
    u = origin(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", ok(b"next")))
    t = transport()
    assert await fetch(t, request(u.url, "HEAD")) == (200, b"")
    assert await fetch(t, request(u.url)) == (200, b"next")
    assert len(u.connections) == 1


@pytest.mark.parametrize("status", [b"600", b"999", b"099", b"000", b"20", b"abc"])
async def test_invalid_status(origin: Origins, transport: Transports, status: bytes) -> None:
    """Case 96: an error with a kind, and a closed connection."""
    u = origin(answering(b"HTTP/1.1 %b X\r\nContent-Length: 0\r\n\r\n" % status))
    error = await failing(transport(), request(u.url))
    assert (error.key, error.kind) == ("upstream_protocol_error", "invalid_status")


@pytest.mark.parametrize(
    "fields",
    [b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked"],
)
async def test_unlawful_framing(origin: Origins, transport: Transports, fields: bytes) -> None:
    """Cases 98, 99: a 502, the connection is not used again."""
    u = origin(answering(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\nabc"))
    t = transport()
    assert (await failing(t, request(u.url))).kind == "protocol"
    assert t.pools[0].idle == 0


async def test_interim_replies_are_skipped_up_to_a_cap(
    origin: Origins, transport: Transports
) -> None:
    """Cases 92, 95: a few are fine, a flood is not."""
    hint = b"HTTP/1.1 103 X\r\nLink: a\r\n\r\n"
    u = origin(answering(b"HTTP/1.1 100 X\r\n\r\n" + hint * 4 + ok(b"final"), hint * 2000))
    t = transport()
    assert await fetch(t, request(u.url)) == (200, b"final")
    assert (await failing(t, request(u.url))).kind == "protocol"


async def test_interim_replies_do_not_move_the_deadline(
    origin: Origins, transport: Transports
) -> None:
    """Case 92: a reply that comes after `read` is too late, whatever was promised in between."""
    over = threading.Event()

    def promising(c: Connection) -> None:
        c.request()
        for _ in range(4):
            c.send(b"HTTP/1.1 103 X\r\n\r\n")
            over.wait(0.75)
        c.send(ok())

    u = origin(promising)
    error = await failing(transport(), request(u.url, read=2.0))
    over.set()
    assert (error.key, error.kind) == ("upstream_timeout", "read_timeout")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"HTTP/1.1 103 X\r\n\r\n", "closed"),
        (b"HTTP/1.1 200 OK\r\n", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "truncated"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "truncated"),
    ],
)
@pytest.mark.parametrize("ending", ["notify", "cut", "reset"])
async def test_truncation(
    origin: Origins, transport: Transports, reply: bytes, kind: str, ending: str
) -> None:
    """Cases 84, 85, 93: FIN, RST or close_notify, it is an error and never an end."""

    def broken(c: Connection) -> None:
        c.request()
        c.send(reply)
        if ending == "reset":
            c.reset()
        else:
            c.close(notify=ending == "notify")

    error = await failing(transport(), request(origin(broken).url))
    assert error.kind in ({kind, "closed"} if ending == "reset" else {kind})
    assert error.sent


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK"])
@pytest.mark.parametrize("notify", [True, False])
async def test_close_delimited_replies(
    origin: Origins, transport: Transports, line: bytes, notify: bool
) -> None:
    """Case 86: whole after a close_notify; without one it was cut, and is an error."""

    def until_close(c: Connection) -> None:
        c.request()
        c.send(line + b"\r\n\r\n", b"part", b"ial")
        c.close(notify=notify)

    t = transport()
    sent = request(origin(until_close).url)
    if notify:
        assert await fetch(t, sent) == (200, b"partial")
    else:
        assert (await failing(t, sent)).kind == "truncated"
    assert (t.pools[0].active, t.pools[0].idle) == (0, 0)


async def test_what_came_before_the_break_is_delivered(
    origin: Origins, transport: Transports
) -> None:
    """Case 85: the pieces first, then the error."""

    def broken(c: Connection) -> None:
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        c.close()

    t = transport()
    reply = await begin(t, request(origin(broken).url))
    pieces = reply.body.__aiter__()
    assert await anext(pieces) == b"abc"
    with pytest.raises(UpstreamError):
        await anext(pieces)


async def test_pieces_are_handed_on_as_they_come(origin: Origins, transport: Transports) -> None:
    """Case 72: head and chunks are not held back until more comes."""
    go = threading.Event()

    def streaming(c: Connection) -> None:
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        go.wait(10)
        c.send(b"3\r\none\r\n")
        c.drain()

    t = transport()
    reply = await begin(t, request(origin(streaming).url))
    assert reply.body.ready is None
    go.set()
    assert await anext(reply.body.__aiter__()) == b"one"
    await reply.body.aclose()
    assert (t.pools[0].active, t.pools[0].idle) == (0, 0)


async def test_a_small_reply_is_ready_with_its_head(origin: Origins, transport: Transports) -> None:
    """The common case costs no iteration; its connection is free before anyone reads it."""
    t = transport()
    reply = await begin(t, request(origin(answering(ok(b"all"))).url))
    assert reply.body.ready == b"all"
    assert t.pools[0].idle == 1
