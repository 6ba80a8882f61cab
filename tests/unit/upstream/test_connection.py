"""A connection over a fake wire: states that real sockets reach only by chance of timing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.connection import (
    Connection,
    ConnectionWire,
    Hooks,
    Lifetime,
    StaleConnectionError,
)
from gateway.upstream.reply_stream import HIGH_WATER, ReplyStream
from gateway.upstream.request_encoder import Encoded, Timeouts


class FakeWire:
    """Notes what a connection does to it."""

    congested = False

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.has_unread = False

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def readable(self) -> bool:
        return self.has_unread

    def not_taken(self) -> int:
        return 100_000


class Endless:
    """A request body that does not end."""

    ready = None
    replayable = False
    stopped = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await asyncio.Event().wait()
        finally:
            self.stopped = True


class Rig:
    """A connection, its wire, and what its pool is told."""

    def __init__(self, idle: float = 60.0, age: float = 60.0) -> None:
        self.wire = FakeWire()
        self.told: list[str] = []
        hooks = Hooks(lambda _: self.told.append("freed"), lambda _: self.told.append("closed"))
        lifetime = Lifetime(asyncio.get_running_loop().time() + age, idle)
        self.connection = Connection(cast("ConnectionWire", self.wire), hooks, lifetime)

    async def exchange(
        self, *pieces: bytes, read: float = 60.0, body: Endless | None = None
    ) -> ReplyStream:
        """A request whose reply comes in these pieces, in one turn of the event loop."""
        timeouts = Timeouts(read=read, write=0.02)
        request = Encoded(b"HEAD", None, body, False, False, timeouts)
        task = asyncio.ensure_future(self.connection.exchange(request))
        for _ in range(3):
            await asyncio.sleep(0)
        for piece in pieces:
            self.connection.on_data(piece)
        return await asyncio.wait_for(task, 5)


async def test_a_reply_that_ends_while_reading_is_paused() -> None:
    """Case 71: the pause belongs to the reply, not to the connection that the next one gets."""
    rig = Rig()
    size = HIGH_WATER + 100
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
    reply = await rig.exchange(head, bytes(size - 1), b"x")
    assert rig.wire.calls[-2:] == ["pause_reading", "resume_reading"]
    assert len(reply.ready or b"") == size
    assert rig.told == ["freed"]


async def test_a_reader_that_catches_up_lets_more_come() -> None:
    """Case 71: once what was held is taken, reading goes on."""
    rig = Rig()
    reply = await rig.exchange(b"HTTP/1.1 200 OK\r\n\r\n", bytes(HIGH_WATER + 1))
    assert rig.wire.calls[-1] == "pause_reading"
    assert len(await anext(reply)) == HIGH_WATER + 1
    assert rig.wire.calls[-1] == "resume_reading"


async def test_states_show_no_secret() -> None:
    """Case 174: a repr is a state line, safe in any log."""
    rig = Rig()
    assert repr(rig.connection) == "<Connection idle, 0 served>"
    await rig.exchange(b"HTTP/1.1 204 X\r\n\r\n")
    assert repr(rig.connection) == "<Connection idle, 1 served>"
    reply = await rig.exchange(b"HTTP/1.1 200 OK\r\n\r\n")
    assert repr(rig.connection) == "<Connection active, 1 served>"
    await reply.aclose()
    assert repr(rig.connection) == "<Connection closed, 1 served>"


async def test_the_pool_is_told_of_an_end_once() -> None:
    """Case 127: a slot that came back twice would let one connection too many exist."""
    rig = Rig()
    rig.connection.close()
    rig.connection.abort()
    rig.connection.on_end(clean=True, kind="closed")
    assert rig.told == ["closed"]


@pytest.mark.parametrize("fault", ["unread", "aged", "closed"])
async def test_an_unfit_connection_takes_no_second_request(fault: str) -> None:
    """Cases 101, 115, 117: it says so before a byte of the request is written."""
    rig = Rig(age=0.0 if fault == "aged" else 60.0)
    await rig.exchange(b"HTTP/1.1 204 X\r\n\r\n")
    rig.wire.has_unread = fault == "unread"
    if fault == "closed":
        rig.connection.on_end(clean=False, kind="closed")
    writes = rig.wire.calls.count("write")
    with pytest.raises(StaleConnectionError) as caught:
        await rig.exchange()
    assert not caught.value.sent
    assert rig.wire.calls.count("write") == writes
    assert rig.told == ["freed", "closed"]


async def test_bytes_after_the_reply_in_the_same_turn() -> None:
    """Case 101: the connection is free for no moment in which it could be taken as good."""
    rig = Rig()
    await rig.exchange(b"HTTP/1.1 204 X\r\n\r\n", b"HTTP/1.1 200 OK\r\n")
    assert rig.told == ["freed", "closed"]
    assert rig.connection.closed


async def test_a_timer_that_fires_while_data_waits_to_be_read() -> None:
    """Case 113: a deadline counts only while its reader waits for something."""
    rig = Rig()
    reply = await rig.exchange(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", read=0.02)
    waiting = asyncio.ensure_future(anext(reply))
    await asyncio.sleep(0)
    rig.connection.on_data(b"a")
    assert await waiting == b"a"
    await asyncio.sleep(0.05)
    assert not rig.connection.closed
    with pytest.raises(UpstreamError) as caught:
        await anext(reply)
    assert caught.value.kind == "read_timeout"


async def test_a_reply_before_the_end_of_its_request_frees_nothing() -> None:
    """RFC 9112 9.3: the rest of that request would be read as the next one."""
    rig, body = Rig(), Endless()
    reply = await rig.exchange(b"HTTP/1.1 204 X\r\n\r\n", body=body)
    assert rig.told == ["closed"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert body.stopped  # nobody reads the caller's body for nothing
    await reply.aclose()


async def test_a_reader_that_is_cancelled_gives_the_connection_up() -> None:
    """Case 122: without anyone calling `aclose`."""
    rig = Rig()
    reply = await rig.exchange(b"HTTP/1.1 200 OK\r\n\r\n")
    waiting = asyncio.ensure_future(anext(reply))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert rig.told == ["closed"]


async def test_only_an_upstream_that_does_not_read_runs_into_the_write_timeout() -> None:
    """Case 107: once it has read again, the caller's pace is the caller's business."""
    rig = Rig()
    rig.wire.congested = True
    sending = asyncio.ensure_future(rig.exchange(body=Endless()))
    await asyncio.sleep(0.06)
    assert not sending.done()
    rig.connection.on_data(b"HTTP/1.1 204 X\r\n\r\n")
    assert (await sending).parser.status == 204
