"""A reply that begins before its request has ended: whose time runs when."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.transport import Transport
from tests.support.origin import Connection, Origin, Script
from tests.support.outbound import Body, fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]


class Steady(Body):
    """A body in pieces of one byte, each in its time; then perhaps more than an origin reads."""

    def __init__(self, more: bytes = b"", pace: float = 0.4) -> None:
        super().__init__()
        self.more = more
        self.pace = pace

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        for _ in range(4):
            yield b"a"
            await asyncio.sleep(self.pace)
        if self.more:
            yield self.more
            await asyncio.Event().wait()


@pytest.mark.parametrize("goes_on", [True, False])
async def test_after_an_early_head_the_callers_pace_is_not_the_upstreams_fault(
    origin: Origins, transport: Transports, goes_on: bool
) -> None:
    """The read timeout runs from the end of the request, though its reader waits since long."""
    over = threading.Event()

    def early(c: Connection) -> None:
        c.until(b"a\r\n")
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        c.until(b"0\r\n\r\n")
        if goes_on:
            c.send(b"ok")
            c.drain()
        else:
            over.wait(10)

    fetching = fetch(transport(), request(origin(early).url, "POST", Steady(), read=1.0))
    if goes_on:
        assert await fetching == (200, b"ok")
    else:
        with pytest.raises(UpstreamError) as caught:
            await fetching
        assert caught.value.kind == "read_timeout"
        over.set()


async def test_an_upstream_that_neither_reads_nor_answers_on_has_stopped(
    origin: Origins, transport: Transports
) -> None:
    """Also when its head is there: the reader's time runs while the request cannot go out."""
    over = threading.Event()

    def stuck(c: Connection) -> None:
        c.until(b"a\r\n")
        c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        over.wait(10)

    big = Steady(bytes(24 << 20), pace=0)
    with pytest.raises(UpstreamError) as caught:
        async with asyncio.timeout(8):
            await fetch(transport(), request(origin(stuck).url, "POST", big, read=1.0))
    assert caught.value.kind == "read_timeout"
    over.set()
