"""The sender: attempt after attempt, until an outcome stands."""

import asyncio

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.model import Outbound
from gateway.upstream import sender as module
from gateway.upstream.connection import StaleConnectionError
from gateway.upstream.failures import failure, overloaded
from tests.support.scripted_sender import Body, Step, World, key

REFUSED = failure("connect_refused", sent=False)
SILENT = failure("read_timeout", sent=True)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No back-off takes time; this is how long each would have been."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(module, "sleep", sleep)
    return waited


def again(status: int, after: str) -> httpx.Response:
    return httpx.Response(status, headers={"retry-after": after})


STORIES = [
    # method, what the attempts come to, the status that stands, the reasons of retries
    ("GET", [200], 200, []),
    ("GET", [500], 500, []),
    ("GET", [REFUSED, 503, 200], 200, ["connect", "status_503"]),
    ("GET", [502], 502, ["status_502", "status_502"]),
    ("GET", [REFUSED, 504, 503], 503, ["connect", "status_504"]),
    ("GET", [503, REFUSED, REFUSED], 502, ["status_503", "connect"]),
    ("GET", [SILENT, 200], 504, []),
    ("GET", [again(429, "1"), 200], 200, ["status_429"]),
    ("GET", [429, 200], 429, []),
    ("GET", [again(503, "60"), 200], 503, []),
    ("GET", [StaleConnectionError(sent=True), 200], 200, ["stale"]),
    ("POST", [StaleConnectionError(sent=True), 200], 502, []),
    ("POST", [StaleConnectionError(sent=False), 200], 200, ["stale"]),
    ("POST", [REFUSED, 200], 200, ["connect"]),
    ("POST", [503, 200], 503, []),
    ("PATCH", [again(429, "1"), 200], 429, []),
    ("DELETE", [503, 204], 204, ["status_503"]),
    ("GET", [overloaded(), 200], 503, []),
]


@pytest.mark.parametrize(("method", "steps", "status", "reasons"), STORIES)
async def test_an_outcome_stands(
    method: str, steps: list[Step], status: int, reasons: list[str]
) -> None:
    """The first that is good, or the last when attempts run out; each retry is told."""
    world = World(*steps)
    if status == 204:
        outbound = Outbound(method, b"/x", [], None)
        assert (await world.sender.send(outbound, key(), world.x)).status == 204
    else:
        assert await world.send(method) == status
    assert world.retries() == reasons
    assert world.x.attempts == len(reasons) + 1


async def test_refused_replies_are_given_up_before_the_next_attempt() -> None:
    """No connection is held by a reply that nobody will read."""
    world = World(503, 503, 200)
    assert await world.send() == 200
    assert [stream.closed for stream in world.wire.streams] == [True] * 3


async def test_waits_double_and_keep_to_retry_after(waits: list[float]) -> None:
    """Back-off as decided; what Invopop asks for on top."""
    await World(503).send()
    await World(again(503, "2"), 200).send()
    assert waits == [0.025, 0.05, 2.025]


async def test_a_body_is_sent_again_whole() -> None:
    """Each attempt carries all of it."""
    world, body = World(503, 503, 200), Body(b"one", b"two")
    assert await world.send("PUT", body) == 200
    assert world.wire.bodies == [b"onetwo"] * 3


async def test_a_body_that_was_not_kept_is_sent_once() -> None:
    """What was streamed on cannot be replayed: the outcome stands."""
    world, body = World(503, 200), Body(b"one", replayable=False)
    assert await world.send("PUT", body) == 503
    assert body.taken == 1


async def test_no_retry_past_the_callers_deadline() -> None:
    """A wait that would outlast the caller is not begun."""
    world = World(again(503, "2"), 200)
    assert await world.send(patience=1.0) == 503
    assert await world.send(patience=60.0) == 200


async def test_the_attempts_of_an_exchange_are_limited_together() -> None:
    """A request that goes out again with another key does not get its retries anew."""
    world = World(503)
    outbound = Outbound("GET", b"/x", [], None)
    reply = await world.sender.send(outbound, key(), world.x, made=2)
    assert (reply.status, reply.attempts, world.x.attempts) == (503, 3, 1)


async def test_the_budget_limits_retries() -> None:
    """In a burst of failures ten requests a second are sent again, the rest once."""
    world = World(503, ratio=0.0)
    for _ in range(40):
        await world.send()
    assert len(world.retries()) == 10


@given(st.lists(st.sampled_from([200, 503, REFUSED, SILENT, 404]), min_size=1, max_size=6))
def test_no_post_is_sent_twice(steps: list[Step]) -> None:
    """Whatever the attempts come to, at most one POST may have arrived."""

    async def run() -> None:
        world = World(*steps)
        arrived = [step for step in steps[:3] if step is not REFUSED]
        status = await world.send("POST", Body(b"invoice"))
        first = arrived[0] if arrived else None
        if isinstance(first, int):
            assert status == first
        sent = steps[: world.x.attempts]
        assert sum(step is not REFUSED for step in sent) <= 1
        assert world.x.attempts <= 3

    asyncio.run(run())


async def test_errors_are_of_the_last_attempt() -> None:
    """The caller learns how it ended, not how it began."""
    world = World(503, REFUSED)
    with pytest.raises(UpstreamError) as last:
        await world.sender.send(Outbound("GET", b"/x", [], None), key(), world.x)
    assert last.value.kind == "connect_refused"
