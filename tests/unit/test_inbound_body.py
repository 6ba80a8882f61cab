"""A caller's body, read once and counted."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.errors import CallerError
from gateway.inbound_body import REPLAY_LIMIT, InboundBody
from gateway.model import CALLER_LEFT


def receiver(*messages: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    queue = list(messages)

    async def receive() -> dict[str, Any]:
        return queue.pop(0)

    return receive


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def taken(body: InboundBody) -> bytes:
    return b"".join([chunk async for chunk in body])


@pytest.mark.parametrize(
    "messages",
    [[part(b"abc", more=False)], [part(b"a"), part(b"b"), part(b"c", more=False)]],
    ids=["at once", "bit by bit"],
)
async def test_a_small_body_is_waited_for(messages: list[dict[str, Any]]) -> None:
    """What has arrived whole needs no iteration, and can be sent any number of times."""
    body = InboundBody(receiver(*messages), 0)
    assert (body.complete, body.ready) == (False, None)
    await body.prefetch()
    assert body.ready == b"abc"
    assert await taken(body) == await taken(body) == b"abc"


async def test_of_a_large_body_only_its_beginning_is_waited_for() -> None:
    """64 KiB are enough to begin; the rest is read when it is asked for."""
    half = b"x" * (REPLAY_LIMIT // 2)
    queue = [part(half), part(half), part(b"y", more=False)]
    body = InboundBody(receiver(*queue), 0)
    await body.prefetch()
    assert (body.received, body.complete, body.ready) == (REPLAY_LIMIT, False, None)
    assert await taken(body) == half + half + b"y"


async def test_a_body_is_replayed_up_to_its_limit() -> None:
    """A second iteration gives the kept bytes again and then goes on reading."""
    messages = part(b"a" * 10), part(b"b" * 10), part(b"", more=False)
    body = InboundBody(receiver(*messages), 0)
    first = aiter(body)
    assert await anext(first) == b"a" * 10
    assert body.replayable
    assert await taken(body) == b"a" * 10 + b"b" * 10
    assert body.received == 20


async def test_a_large_body_is_not_kept() -> None:
    """Past 64 KiB nothing is held once it leaves: it streams once, whole, its beginning included.

    An attempt that took none of it, for want of a connection, does not count.
    """
    big = b"x" * (REPLAY_LIMIT + 1)
    body = InboundBody(receiver(part(big), part(b"y", more=False)), 0)
    await body.prefetch()
    assert (body.replayable, body.ready) == (True, None)
    chunks = aiter(body)
    assert (await anext(chunks), body.replayable) == (big, False)
    assert [chunk async for chunk in chunks] == [b"y"]
    with pytest.raises(RuntimeError, match=r"^a body that was not kept cannot be sent again$"):
        await taken(body)


async def test_a_large_body_that_nobody_waited_for_comes_whole() -> None:
    """Read chunk by chunk from the start, nothing is added or lost; then it is gone."""
    big = b"x" * (REPLAY_LIMIT + 1)
    body = InboundBody(receiver(part(b"a"), part(big), part(b"y", more=False)), 0)
    assert await taken(body) == b"a" + big + b"y"
    with pytest.raises(RuntimeError):
        await taken(body)


async def test_a_large_body_that_came_at_once_is_not_kept() -> None:
    """Though it is complete: what can be sent again is at most 64 KiB."""
    big = b"x" * (REPLAY_LIMIT + 1)
    body = InboundBody(receiver(part(big, more=False)), 0)
    await body.prefetch()
    assert body.ready is None
    assert await taken(body) == big
    assert not body.replayable


async def test_a_body_never_passes_its_limit() -> None:
    """A chunked body that grows past the limit fails at the chunk that crosses it."""
    body = InboundBody(receiver(part(b"x" * 6), part(b"x" * 6, more=False)), 10)
    chunks = aiter(body)
    assert await anext(chunks) == b"x" * 6
    with pytest.raises(CallerError) as caught:
        await anext(chunks)
    assert caught.value.key == "body_too_large"
    assert caught.value.detail == "A body may have at most 10 bytes."


async def test_limits_hold_to_the_byte() -> None:
    """A body of just the limit passes, and one of just 64 KiB is kept."""
    body = InboundBody(receiver(part(b"x" * REPLAY_LIMIT, more=False)), REPLAY_LIMIT)
    assert await taken(body) == await taken(body) == b"x" * REPLAY_LIMIT


async def test_a_message_may_leave_out_what_is_empty() -> None:
    """ASGI: without `body` there are no bytes, without `more_body` it is the last one."""
    body = InboundBody(receiver({"type": "http.request"}), 0)
    assert await taken(body) == b""
    assert (body.complete, body.ready) == (True, b"")


async def test_a_caller_that_leaves_ends_the_body_as_a_cancellation() -> None:
    """A disconnect is never taken for the body's end."""
    body = InboundBody(receiver(part(b"x"), {"type": "http.disconnect"}), 0)
    with pytest.raises(asyncio.CancelledError, match=CALLER_LEFT):
        await taken(body)
