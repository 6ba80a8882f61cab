"""Callers take turns: one with many requests that are ready does not go in front of the others."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.turns import AT_ONCE, MOST, Account, Turns
from tests.support.held_loop import HeldLoop

FLOOD = 400


class Scene:
    """Requests that wait, and who has begun, in order."""

    def __init__(self) -> None:
        self.loop = HeldLoop()
        self.turns = Turns(self.loop)
        self.begun: list[Account] = []

    def wait(self, account: Account, count: int = 1) -> "list[Request]":
        requests = [Request(self, account) for _ in range(count)]
        for request in requests:
            self.turns.wait(account, request)
        return requests

    def turn(self, count: int = 1) -> list[Account]:
        """Those who begin in so many turns."""
        before = len(self.begun)
        for _ in range(count):
            self.loop.turn()
        return self.begun[before:]

    def rest(self) -> list[Account]:
        """Those who begin until nobody waits."""
        before = len(self.begun)
        while self.loop.turn():
            pass
        return self.begun[before:]


class Request:
    """One that notes when it begins, unless it has left."""

    def __init__(self, scene: Scene, account: Account) -> None:
        self.scene = scene
        self.account = account
        self.left = False

    def take_turn(self) -> bool:
        if not self.left:
            self.scene.begun.append(self.account)
        return not self.left


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def flooded(scene: Scene) -> Scene:
    """One account has used up what a quiet one has to its credit, and many of it wait."""
    scene.wait("flood", FLOOD)
    scene.turn(8)
    return scene


def test_few_requests_never_wait(scene: Scene) -> None:
    """So many begin at once in one turn of the loop, and again in the next."""
    for _ in range(3):
        assert [scene.turns.begin() for _ in range(AT_ONCE + 1)] == [True] * AT_ONCE + [False]
        scene.loop.now += 1


def test_nobody_goes_in_front_of_those_who_wait(scene: Scene) -> None:
    """Whoever comes while others wait does, too, also in a later turn."""
    scene.wait("flood", AT_ONCE + 1)
    assert not scene.turns.begin()
    scene.turn()
    scene.loop.now += 1
    assert not scene.turns.begin()
    scene.turn()
    assert scene.turns.begin()


def test_no_turn_begins_more_than_its_share(scene: Scene) -> None:
    """So that what becomes ready meanwhile is looked at soon; and every request begins."""
    scene.wait("flood", FLOOD)
    while len(scene.begun) < FLOOD:
        new = len(scene.begun) < AT_ONCE * 4  # whose credit is not used up yet
        assert len(scene.turn()) == (AT_ONCE if new else MOST)
    assert scene.rest() == []


def test_a_quiet_callers_requests_go_first(flooded: Scene) -> None:
    """However many requests of a busy caller wait, and also if they come as a few at once."""
    for _ in range(3):
        flooded.wait("good", 2 * AT_ONCE)
        assert flooded.turn(2) == ["good"] * 2 * AT_ONCE
        assert flooded.turn(3) == ["flood"] * 3 * MOST


def test_who_asks_for_more_takes_turns_with_the_others(flooded: Scene) -> None:
    """Being new is a credit, not a rank: no two floods are better than one another."""
    flooded.wait("second", FLOOD)
    begun = flooded.turn(80)
    assert begun[:20] == ["second"] * 20
    assert begun[-100:].count("second") == begun[-100:].count("flood") == 50


def test_one_request_after_the_other_is_busy_too(flooded: Scene) -> None:
    """A caller that always has just one request waiting is not new each time: others have turns."""
    flooded.wait("drip")
    for _ in range(40):
        if "drip" in flooded.turn():
            flooded.wait("drip")
    assert flooded.begun[-2 * 40 :].count("flood") >= 20


def test_all_whose_credentials_are_refused_share_one_line(flooded: Scene) -> None:
    """The new, and a caller with a name, have lines of their own beside it."""
    flooded.wait("", FLOOD)
    flooded.wait(None, FLOOD)
    flooded.turn(100)
    begun = flooded.turn(60)
    assert [begun.count(account) for account in ("flood", "", None)] == [20 * MOST] * 3


def test_those_who_left_take_no_turn(flooded: Scene) -> None:
    """Whether they said so, or show it when it is their turn; and they hold nobody up."""
    first, second = flooded.wait("good", 2)
    flooded.turns.leave("good", first)
    flooded.turns.leave("good", first)
    flooded.turns.leave("nobody", first)
    second.left = True
    assert flooded.turn() == ["flood"] * MOST
    flooded.rest()
    assert flooded.begun == ["flood"] * FLOOD


def test_when_the_last_has_left_nobody_waits(scene: Scene) -> None:
    """And those who come begin at once."""
    (only,) = scene.wait("good")
    scene.turns.leave("good", only)
    assert scene.turns.begin()
    scene.wait("later")
    assert scene.rest() == ["later"]


def test_a_request_that_fails_holds_nobody_up(scene: Scene) -> None:
    """The others have their turns."""

    class Broken:
        def take_turn(self) -> bool:
            raise RuntimeError("a defect")

    scene.turns.wait("broken", Broken())
    scene.wait("good", 3)
    with pytest.raises(RuntimeError, match="a defect"):
        scene.loop.turn()
    assert scene.rest() == ["good"] * 3


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_coroutines_wait_for_their_turn(loop: asyncio.AbstractEventLoop) -> None:
    """Those that were cancelled meanwhile are passed over, and none is stuck."""
    begun: list[str] = []

    async def started(turns: Turns, caller: str) -> None:
        await turns.turn_of(caller)
        begun.append(caller)

    async def play() -> None:
        turns = Turns(loop)
        flood = [loop.create_task(started(turns, "flood")) for _ in range(FLOOD)]
        await asyncio.sleep(0)
        for task in flood[MOST:]:
            task.cancel()
        await started(turns, "good")
        await asyncio.gather(*flood, return_exceptions=True)
        await started(turns, "later")

    loop.run_until_complete(play())
    assert sorted(begun) == ["flood"] * MOST + ["good", "later"]
    assert begun[-1] == "later"
