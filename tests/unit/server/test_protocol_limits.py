"""Nobody holds a connection for longer, or with more memory, than the settings say."""

import asyncio
import socket

import pytest

from gateway.asgi import Receive, Scope, Send
from gateway.model import CALLER_STALLED
from gateway.server.protocol import HttpProtocol
from gateway.socket_queues import unread
from tests.unit.server.conftest import Recorder, Serve, answer, piece

GET = b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: gw\r\nX: " + b"y" * 70_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: gw\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\nX: " + b"y" * 40_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: gw\r\n" + b"X: y\r\n" * 200_000,
    ],
)
async def test_case_52_53_too_large_heads_are_431_while_they_arrive(
    serve: Serve, head: bytes
) -> None:
    """Size and count are bounded before a head is whole; the reply can be read all the same."""
    served = await serve(Recorder())
    wire = await served.wire()
    wire.writer.write(head)
    reply = await wire.response()
    assert (reply.status, reply.header("x-gateway-error")) == (431, b"headers_too_large")
    assert served.refusals[0].method == "GET"


async def test_the_limit_on_a_head_is_exact(serve: Serve) -> None:
    """`max_header_bytes` is the whole head, its blank line included."""
    wire = await (await serve(Recorder(), max_header_bytes=len(GET))).wire()
    assert (await wire.exchange(GET)).status == 200
    assert (await wire.exchange(GET.replace(b"/x", b"/xx"))).status == 431


async def test_case_106_a_silent_connection_is_closed_without_a_word(serve: Serve) -> None:
    """From connection on, `header_timeout` runs."""
    served = await serve(Recorder(), header_timeout=0.05)
    assert await (await served.wire()).closed()
    assert served.refusals == []


async def test_case_105_a_slow_head_is_408(serve: Serve) -> None:
    """However lively its bytes drip."""
    served = await serve(Recorder(), header_timeout=0.1)
    wire = await served.wire()

    async def drip() -> None:
        while True:
            await wire.send(b"X")
            await asyncio.sleep(0.01)

    await wire.send(b"GET / HTTP/1.1\r\n")
    dripping = asyncio.create_task(drip())
    assert (await wire.response()).status == 408
    dripping.cancel()
    assert served.refusals[0].seconds >= 0.09
    assert [(r.status, r.error, r.method) for r in served.refusals] == [
        (408, "request_timeout", "GET")
    ]


async def test_case_105_a_second_head_has_its_own_time(serve: Serve) -> None:
    """On a kept connection it runs from the head's first byte, however long the idle time is."""
    wire = await (await serve(Recorder(), header_timeout=0.1, idle_timeout=30)).wire()
    assert (await wire.exchange(GET)).status == 200
    await asyncio.sleep(0.15)
    assert (await wire.exchange(GET[:4])).status == 408


async def test_case_109_an_idle_connection_is_closed_without_a_word(serve: Serve) -> None:
    """After `idle_timeout`, and without a byte that a next request could take for its reply."""
    served = await serve(Recorder(), idle_timeout=0.05)
    wire = await served.wire()
    assert (await wire.exchange(GET)).status == 200
    assert await wire.closed()
    assert served.refusals == []


async def test_a_kept_connection_is_told_for_how_long(serve: Serve) -> None:
    """It is open for a second longer than announced, so that the caller ends it first."""
    served = await serve(Recorder(), idle_timeout=75.0)
    wire = await served.wire()
    before = asyncio.get_running_loop().time()
    reply = await wire.exchange(GET)
    assert reply.header("keep-alive") == b"timeout=75"
    assert served.connection._read_deadline.at >= before + 76.0
    last = await wire.exchange(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (last.header("connection"), last.header("keep-alive")) == (b"close", None)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "new"])
async def test_a_request_that_came_in_time_is_served(serve: Serve, kept: bool) -> None:
    """Bytes that only the kernel has when the idle time ends are no idle connection."""
    served = await serve(Recorder(), idle_timeout=75.0)
    wire = await served.wire()
    if kept:
        assert (await wire.exchange(GET)).status == 200
    async with asyncio.timeout(5):
        while not served.listener.connections:
            await asyncio.sleep(0.001)
    connection = served.connection
    connection._transport.pause_reading()
    await wire.send(GET)
    async with asyncio.timeout(5):
        while not unread(connection._transport.get_extra_info("socket")):
            await asyncio.sleep(0.001)
    connection._read_expired()
    connection._transport.resume_reading()
    assert (await wire.response()).status == 200


async def test_at_the_end_of_a_drain_a_new_connection_has_a_moment(serve: Serve) -> None:
    """It may send its request yet, and gets its reply; one that sends nothing is closed."""
    served = await serve(Recorder(), header_timeout=30.0)
    sends, silent = await served.wire(), await served.wire()
    async with asyncio.timeout(5):
        while len(served.listener.connections) < 2:
            await asyncio.sleep(0.001)
    served.listener.stop()
    reply = await sends.exchange(GET)
    assert (reply.status, reply.header("connection")) == (200, b"close")
    assert await silent.closed()


async def test_case_23_blank_lines_do_not_keep_a_connection(serve: Serve) -> None:
    """The idle time goes on running: it ends before that of a connection that was used later."""
    served = await serve(Recorder(), idle_timeout=2.0)
    first = await served.wire()
    assert (await first.exchange(GET)).status == 200
    await asyncio.sleep(1.0)
    second = await served.wire()
    assert (await second.exchange(GET)).status == 200
    await asyncio.sleep(0.5)
    await first.send(b"\r\n")
    assert await first.closed()
    assert not second.reader.at_eof()
    assert await second.closed()


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 9\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n9\r\nabc"]
)
async def test_case_107_a_stalled_body_is_408(serve: Serve, framing: bytes) -> None:
    """`receive` raises; the app never sees an end of the body."""
    app = Recorder()
    served = await serve(app, body_timeout=0.05)
    wire = await served.wire()
    reply = await wire.exchange(b"POST / HTTP/1.1\r\nHost: gw\r\n" + framing)
    assert (reply.status, reply.header("x-gateway-error")) == (408, b"request_timeout")
    assert await wire.closed()
    assert app.bodies == []


async def test_case_105_the_first_heads_time_runs_from_the_connection(serve: Serve) -> None:
    """Silence before the first byte buys no time: a connection that was opened later ends later."""
    served = await serve(Recorder(), header_timeout=3.0)
    first = await served.wire()
    await asyncio.sleep(1.0)
    second = await served.wire()
    await asyncio.sleep(1.0)
    await first.send(b"G")
    assert (await first.response()).status == 408
    assert not second.reader.at_eof()
    assert await second.closed()


async def test_case_107_a_body_that_moves_is_not_timed(serve: Serve) -> None:
    """`body_timeout` is the longest silence, not the whole."""
    wire = await (await serve(Recorder(), body_timeout=2.0)).wire()
    await wire.send(b"POST /p HTTP/1.1\r\nHost: gw\r\nContent-Length: 6\r\n\r\n")
    for byte in b"abcdef":
        await asyncio.sleep(0.4)
        await wire.send(bytes([byte]))
    assert (await wire.response()).body == b"/p:abcdef"


async def test_our_own_slowness_is_no_stall(serve: Serve) -> None:
    """While the app does not take the body, the caller's time stands still."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.2)
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await answer(send, b"%d" % size)

    served = await serve(app, body_timeout=0.1)
    wire = await served.wire()
    size = 8 << 20
    await wire.send(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n" % size)
    await served.busy()  # now the body is due
    wire.writer.write(bytes(size))
    assert (await wire.response()).body == b"%d" % size


async def test_case_70_a_body_that_nobody_takes_is_left_to_tcp(serve: Serve) -> None:
    """What lies in memory for an app that does not read is bounded, then all of it arrives."""
    release = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        size, more = 0, True
        while more:
            message = await receive()
            assert len(message["body"]) <= 512 * 1024
            size += len(message["body"])
            more = message["more_body"]
        await answer(send, b"%d" % size)

    served = await serve(app)
    wire = await served.wire()
    size = 32 << 20
    wire.writer.write(b"POST / HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n" % size)
    wire.writer.write(bytes(size))
    await served.busy()
    async with asyncio.timeout(5):
        while served.connection._reading:
            await asyncio.sleep(0.001)
    assert served.connection.cycle is not None
    assert served.connection.cycle.buffered <= 512 * 1024
    release.set()
    assert (await wire.response()).body == b"%d" % size


async def test_case_71_108_a_caller_that_does_not_read_is_cut(serve: Serve) -> None:
    """`send` waits, memory is bounded, and after `write_timeout` the app is cancelled."""
    reasons: list[object] = []
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send(piece(bytes(65536)))
                sent += 65536
        except asyncio.CancelledError as reason:
            reasons.extend(reason.args)
            raise

    served = await serve(app, write_timeout=0.1)
    wire = await served.wire(receive_buffer=4096)
    wire.stop_reading()
    await wire.send(GET)
    await served.emptied_of_connections()
    assert reasons == [CALLER_STALLED]
    assert sent < 16 << 20


async def test_case_108_a_whole_reply_that_is_not_read_is_cut(serve: Serve) -> None:
    """Also if the app is done with it: a connection does not outlive its unread reply."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, bytes(8 << 20))

    served = await serve(app, write_timeout=0.1, idle_timeout=30)
    wire = await served.wire(receive_buffer=4096)
    wire.stop_reading()
    await wire.send(GET)
    await served.emptied_of_connections()


async def test_case_108_a_slow_reader_that_reads_is_served(serve: Serve) -> None:
    """`write_timeout` is the longest stall: a reply that moves is not cut."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, bytes(16 << 20))  # more than the kernel takes

    served = await serve(app, write_timeout=1.0)
    wire = await served.wire(receive_buffer=65536)
    await wire.send(GET)
    assert (await wire.head())[0] == 200
    slow_until = asyncio.get_running_loop().time() + 3
    while asyncio.get_running_loop().time() < slow_until:
        assert await wire.reader.read(16384)
        assert served.listener.connections
        await asyncio.sleep(0.025)


class Slow(asyncio.Transport):
    """A transport to a caller that has taken all but `unsent` bytes."""

    def __init__(self, sock: socket.socket, unsent: int) -> None:
        super().__init__({"socket": sock})
        self.unsent = unsent
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def abort(self) -> None:
        self.aborted.set()


async def test_case_108_the_last_of_a_reply_is_timed_too(serve: Serve) -> None:
    """A caller that takes all but a little of its last reply holds the connection no longer."""
    served = await serve(Recorder(), write_timeout=0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection, transport = HttpProtocol(served.listener), Slow(ours, 100_000)
        connection.connection_made(transport)
        connection._served = True
        connection.pause_writing()
        connection.close_if_idle()
        transport.unsent = 5_000
        connection.resume_writing()
        await asyncio.wait_for(transport.aborted.wait(), 5)
        connection.connection_lost(None)


async def test_connections_beyond_their_limit_are_closed(serve: Serve) -> None:
    """Those that are there go on; there is room again once one of them has gone."""
    served = await serve(Recorder(), max_connections=2)
    first, second = await served.wire(), await served.wire()
    for wire in (first, second):
        assert (await wire.exchange(GET)).status == 200
    assert await (await served.wire()).closed()
    await first.close()
    while len(served.listener.connections) > 1:
        await asyncio.sleep(0.001)
    for wire in (second, await served.wire()):
        assert (await wire.exchange(GET)).status == 200
