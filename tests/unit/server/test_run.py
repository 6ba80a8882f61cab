"""The life of a serving process, seen from outside: ready, drain, cut, end, and its exit code."""

import asyncio
import signal
import socket

import pytest

from gateway.model import DRAIN_CUT
from tests.unit.server.conftest import Recorder, Serve
from tests.unit.server.processes import Start

GET = b"GET /%b HTTP/1.1\r\nHost: gw\r\n\r\n"


async def test_case_187_both_listeners_tell_their_real_port(start: Start) -> None:
    """Once ready, and after the apps' life spans have begun."""
    process = await start()
    await process.told("starting")
    await process.ready()
    callers = await process.wire()
    admin = await process.wire("admin")
    assert (await callers.exchange(GET % b"")).body == b"ok"
    assert (await admin.exchange(GET % b"livez")).body == b"alive"
    process.stop()
    await process.told("ended")
    assert await process.told("exit") == {"event": "exit", "code": 0}
    assert await process.code() == 0


async def test_refusals_on_the_admin_listener_are_no_exchanges(start: Start) -> None:
    """The strict grammar is the same; the count is of callers only."""
    process = await start()
    await process.ready()
    admin = await process.wire("admin")
    assert (await admin.exchange(b"GET /\r\n\r\n")).status == 400
    callers = await process.wire()
    assert (await callers.exchange(b"GET /\r\n\r\n")).status == 400
    process.stop()
    assert (await process.told("exchange"))["status"] == 400
    with pytest.raises(AssertionError):
        await process.told("exchange")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_case_188_what_has_begun_is_finished(start: Start, number: int) -> None:
    """In-flight, half-sent and just-sent requests are served; idle connections are closed."""
    process = await start(drain_timeout=5)
    await process.ready()
    idle, slow, half, _ = [
        await process.wire(name) for name in ("callers", "callers", "callers", "admin")
    ]
    assert (await idle.exchange(GET % b"")).header("connection") is None
    await slow.send(GET % b"slow")
    await half.send((GET % b"")[:9])
    await asyncio.sleep(0.1)
    process.stop(number)
    await process.told("draining")
    assert await idle.closed()
    await half.send((GET % b"")[9:])
    for wire in (half, slow):
        reply = await wire.response()
        assert (reply.body, reply.header("connection")) == (b"ok", b"close")
        assert await wire.closed()
    with pytest.raises(ConnectionRefusedError):
        await process.wire()
    assert await process.code() == 0


async def test_case_188_during_the_delay_everyone_is_served_and_sent_away(start: Start) -> None:
    """New connections are taken, kept ones go on until they have been told to close."""
    process = await start(drain_delay=2)
    await process.ready()
    kept = await process.wire()
    assert (await kept.exchange(GET % b"")).header("connection") is None
    process.stop()
    await process.told("draining")
    assert (await kept.exchange(GET % b"")).header("connection") == b"close"
    assert await kept.closed()
    new = await process.wire()
    admin = await process.wire("admin")
    assert (await new.exchange(GET % b"")).header("connection") == b"close"
    assert (await admin.exchange(GET % b"livez")).status == 200
    assert await process.code() == 0


async def test_case_188_bytes_that_only_the_kernel_has_are_served(start: Start) -> None:
    """A request that was written before the listener closed is not lost on its way in."""
    process = await start()
    await process.ready()
    wires = [await process.wire() for _ in range(20)]
    for wire in wires:
        assert (await wire.exchange(GET % b"")).status == 200
    process.stop(signal.SIGSTOP)
    fresh = [await process.wire() for _ in range(20)]
    for wire in wires + fresh:
        await wire.send(GET % b"")
    process.stop()
    process.stop(signal.SIGCONT)
    for wire in wires + fresh:
        assert (await wire.response()).body == b"ok"
    assert await process.code() == 0


async def test_case_188_bytes_that_come_in_the_moment_of_closing_are_served(serve: Serve) -> None:
    """On a kept connection too, though the event loop has not seen them yet."""
    served, loop = await serve(Recorder()), asyncio.get_running_loop()
    with socket.create_connection(served.address) as caller:
        caller.setblocking(False)
        await loop.sock_sendall(caller, GET % b"")
        await loop.sock_recv(caller, 4096)
        caller.send(GET % b"late")
        served.listener.stop()
        assert b"/late:" in await asyncio.wait_for(loop.sock_recv(caller, 4096), 5)
    assert await served.listener.vacated(5)


async def test_case_189_a_stream_without_end_is_cut(start: Start) -> None:
    """After `drain_timeout`, with that reason, and the exit code is still 0."""
    process = await start(drain_timeout=0.2)
    await process.ready()
    stream = await process.wire()
    upload = await process.wire()
    await stream.send(GET % b"forever")
    assert (await stream.head())[0] == 200
    await upload.send(b"POST /x HTTP/1.1\r\nHo")
    process.stop()
    assert (await process.told("cancelled"))["reason"] == DRAIN_CUT
    await process.told("ended")
    assert await process.code() == 0
    received = await stream.to_end()
    assert received
    assert not received.endswith(b"0\r\n\r\n")


async def test_case_189_a_second_signal_ends_it_at_once(start: Start) -> None:
    """With exit code 1, whatever is in flight."""
    process = await start(drain_timeout=60, drain_delay=60)
    await process.ready()
    stream = await process.wire()
    await stream.send(GET % b"forever")
    assert (await stream.head())[0] == 200
    process.stop()
    await process.told("draining")
    process.stop()
    assert await asyncio.wait_for(process.code(), 2) == 1


async def test_a_signal_during_the_start_ends_it(start: Start) -> None:
    """In good order, before anything was served."""
    process = await start("--hang")
    await process.told("starting")
    process.stop()
    assert await process.code() == 0


async def test_a_failing_start_is_raised_as_it_is(start: Start) -> None:
    """Nothing listens, and no traceback is logged by anyone in between."""
    process = await start("--fail")
    assert await process.told("exit") == {"event": "exit", "code": 1}
    assert "callers" not in process.urls


async def test_case_192_other_signals_do_not_matter(start: Start) -> None:
    """SIGPIPE in particular."""
    process = await start()
    await process.ready()
    process.stop(signal.SIGPIPE)
    wire = await process.wire()
    assert (await wire.exchange(GET % b"")).status == 200
