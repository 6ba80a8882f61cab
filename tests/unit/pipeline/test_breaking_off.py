"""Exchanges that do not end well: cut by time, by either side or by a defect."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.errors import UpstreamError
from gateway.model import CALLER_LEFT, CALLER_SLOW, CALLER_STALLED, DRAIN_CUT
from gateway.upstream.breaker import MIN_ATTEMPTS, Breaker
from gateway.upstream.failures import failure
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender
from tests.unit.pipeline.conftest import ACME, World


async def test_a_deadline_bounds_the_exchange(world: World) -> None:
    """`X-Request-Timeout` runs out before the reply: 504, and the header does not go upstream."""

    async def hang(request: httpx.Request) -> httpx.Response:
        world.wire.sent.append((request, b""))
        await asyncio.Event().wait()
        raise AssertionError

    world.wire.handle_async_request = hang  # type: ignore[method-assign]
    status, headers, _ = await world.call(headers=ACME | {"x-request-timeout": "0.01"})
    assert (status, headers["x-gateway-error"]) == (504, "upstream_timeout")
    assert "x-request-timeout" not in world.wire.sent[0][0].headers
    assert world.gateway.services.permits.in_flight == 0


async def test_a_defect_of_ours_is_a_bare_500(world: World) -> None:
    """An exception that nobody foresaw is answered without its text, and told without it."""

    def defect(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("key-acme-1 in a message")

    world.wire.answer = defect
    status, headers, body = await world.call(headers=ACME)
    assert (status, headers["x-gateway-error"]) == (500, "internal_error")
    assert b"key-acme-1" not in body
    assert world.exchanges[0].error == "internal_error"


@pytest.mark.parametrize(
    ("message", "status", "cause"),
    [
        (CALLER_LEFT, 499, "caller_left"),
        (CALLER_STALLED, 499, "caller_stalled"),
        (CALLER_SLOW, 499, "caller_too_slow"),
        (DRAIN_CUT, 503, "drain_timeout"),
    ],
)
async def test_a_broken_off_exchange_is_told_and_leaves_nothing(
    world: World, message: str, status: int, cause: str
) -> None:
    """Whoever breaks it off, it is told once, with the phase it was in, and frees its permit."""
    waiting = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError

    world.wire.handle_async_request = hang  # type: ignore[method-assign]
    task = asyncio.ensure_future(world.call(headers=ACME))
    await waiting.wait()
    task.cancel(message)
    with pytest.raises(asyncio.CancelledError):
        await task
    (x,) = world.exchanges
    assert (x.status, x.cause, x.phase) == (status, cause, "waiting")
    assert world.gateway.services.permits.in_flight == 0


async def test_a_reply_that_breaks_off_is_never_completed(world: World) -> None:
    """The head is out: the error goes to the server, which cuts; the exchange names the failure."""

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"half"
            raise failure("closed", sent=True)

    world.wire.answer = lambda _: httpx.Response(200, stream=Broken())
    with pytest.raises(UpstreamError):
        await world.call(headers=ACME)
    (x,) = world.exchanges
    assert (x.status, x.phase, x.error) == (200, "response", "upstream_protocol_error")
    assert (x.bytes_out, world.gateway.services.permits.in_flight) == (4, 0)


async def test_a_reply_that_breaks_off_is_charged_to_whoever_sent_it(world: World) -> None:
    """A reload replaces the sender in mid-reply: the failure is counted by the old one."""
    services = world.gateway.services
    old, new = failing(services.sender), failing(services.sender)

    class Reloaded(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            services.sender = new
            yield b"half"
            raise failure("closed", sent=True)

    services.sender = old
    world.wire.answer = lambda _: httpx.Response(200, stream=Reloaded())
    with pytest.raises(UpstreamError):
        await world.call(headers=ACME)
    assert (old.circuit_open, new.circuit_open) == (True, False)


def failing(like: Sender) -> Sender:
    """A sender like that one, whose circuit opens with one more failure of another than globex."""
    breaker, now = Breaker(0.1, 5.0), time.perf_counter()
    for _ in range(MIN_ATTEMPTS - 2):
        breaker.record(("acme", "billing"), now, True, None)
    breaker.record(("globex", "reports"), now, False, None)
    retries = Retries(RetryRules(0, frozenset()), lambda: 0.0)
    return Sender(like.forwarder, retries, breaker, lambda _: None)


async def test_a_reply_that_breaks_off_is_counted(world: World) -> None:
    """A truncated body is an upstream error, though its head was good."""

    class Truncated(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"half"
            raise UpstreamError("upstream_protocol_error", "truncated", sent=True)

    world.wire.answer = lambda _: httpx.Response(200, stream=Truncated())
    with pytest.raises(UpstreamError):
        await world.call(headers=ACME)
    shown = world.gateway.observers.metrics.exposition("")[0]
    assert b'invopop_gateway_upstream_errors_total{kind="truncated"} 1.0' in shown
