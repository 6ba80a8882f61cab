"""Callers take turns: one with many requests that are ready does not go in front of the others."""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.turns import MOST, Turns

FLOOD = 40


async def started(turns: Turns, begun: list[str], caller: str) -> None:
    """A request that is ready: notes when it begins."""
    if not turns.begin():
        await turns.turn_of(caller)
    begun.append(caller)


def scene(play: Callable[[Turns, list[str]], Awaitable[None]]) -> list[str]:
    """Who began, in order."""
    begun: list[str] = []

    async def run() -> None:
        await play(Turns(asyncio.get_running_loop()), begun)

    asyncio.run(run())
    return begun


def test_another_callers_request_is_among_the_next() -> None:
    """However many requests of one caller wait, those that wait by then are not all in front."""

    async def play(turns: Turns, begun: list[str]) -> None:
        async with asyncio.TaskGroup() as group:
            for caller in (*["flood"] * FLOOD, "good"):
                group.create_task(started(turns, begun, caller))

    begun = scene(play)
    assert (len(begun), begun.count("flood")) == (FLOOD + 1, FLOOD)
    assert begun.index("good") <= MOST + 1


def test_no_turn_begins_more_than_its_share() -> None:
    """So that what becomes ready meanwhile is looked at soon; and every request begins."""

    async def play(turns: Turns, begun: list[str]) -> None:
        tasks = [asyncio.ensure_future(started(turns, begun, "flood")) for _ in range(FLOOD)]
        seen = 0
        while len(begun) < FLOOD:
            await asyncio.sleep(0)
            assert len(begun) - seen <= 2 * MOST  # woken in the turn before, and begun in this one
            seen = len(begun)
        await asyncio.gather(*tasks)

    assert scene(play) == ["flood"] * FLOOD


def test_few_requests_never_wait() -> None:
    """As many as may begin in one turn begin at once; so they do in the next."""

    async def play(turns: Turns, begun: list[str]) -> None:
        for _ in range(3):
            assert [turns.begin() for _ in range(MOST)] == [True] * MOST
            await asyncio.sleep(0)
        begun.append("all")

    assert scene(play) == ["all"]


def test_those_who_left_take_no_turn() -> None:
    """Requests that were cancelled while they waited are passed over, and none is stuck."""

    async def play(turns: Turns, begun: list[str]) -> None:
        flood = [asyncio.ensure_future(started(turns, begun, "flood")) for _ in range(FLOOD)]
        await asyncio.sleep(0)
        for task in flood:
            task.cancel()
        await started(turns, begun, "good")
        await asyncio.gather(*flood, return_exceptions=True)
        await started(turns, begun, "later")

    assert scene(play) == ["flood"] * MOST + ["good", "later"]
