"""Look-ups of names: one for all who wait, kept for a while, and nobody waits behind another's."""

import asyncio
import socket
from math import inf

import pytest

from gateway.events import Event, NameLookedUp
from gateway.network import resolver as module
from gateway.network.resolver import Resolver
from tests.unit.network.conftest import Names


class Clock:
    """Monotonic seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def addresses(resolver: Resolver, host: str = "origin.test") -> list[str]:
    """The addresses of an answer."""
    found, _ = await resolver.resolve(host)
    return [str(address[0]) for _, address in found]


async def begun(names: Names, times: int) -> None:
    """Waits until so many look-ups have begun."""
    async with asyncio.timeout(10):
        while len(names.asked) < times:
            await asyncio.sleep(0.001)


async def test_all_who_wait_share_one_look_up(names: Names) -> None:
    """250 callers on a cold pool ask the name server once."""
    names["origin.test"] = ["127.0.0.1", "::1"]
    names.answering.clear()
    resolver = Resolver()
    waiting = [asyncio.ensure_future(addresses(resolver)) for _ in range(250)]
    await begun(names, 1)
    assert resolver.unanswered("origin.test")
    names.answering.set()
    assert await asyncio.gather(*waiting) == [["127.0.0.1", "::1"]] * 250
    assert names.asked == ["origin.test"]
    assert not resolver.unanswered("origin.test")


async def test_a_name_that_hangs_delays_no_other(names: Names) -> None:
    """However many names hang, and however often each is asked for."""
    names.answering.clear()
    resolver = Resolver()
    hanging = [
        asyncio.ensure_future(addresses(resolver, f"hanging-{n}.test"))
        for n in range(40)
        for _ in "ab"
    ]
    await begun(names, 40)
    names["origin.test"] = ["127.0.0.1"]
    other = Resolver()
    free = asyncio.ensure_future(addresses(other))
    await begun(names, 41)
    assert len(names.asked) == 41
    names.answering.set()
    assert await free == ["127.0.0.1"]
    failed = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(error, socket.gaierror) for error in failed)


async def test_one_who_gives_up_takes_nothing_from_the_others(names: Names) -> None:
    """The look-up goes on for those that still wait, and for those that come."""
    names["origin.test"] = ["127.0.0.1"]
    names.answering.clear()
    resolver = Resolver()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await addresses(resolver)
    stays = asyncio.ensure_future(addresses(resolver))
    await asyncio.sleep(0)
    names.answering.set()
    assert await stays == ["127.0.0.1"]
    assert names.asked == ["origin.test"]


async def test_an_answer_is_kept_then_served_while_a_new_one_is_looked_up(names: Names) -> None:
    """Ten seconds as it is; up to a minute at once, beside the new look-up."""
    clock = Clock()
    resolver = Resolver(clock=clock)
    names["origin.test"] = ["127.0.0.1"]
    assert await addresses(resolver) == ["127.0.0.1"]
    names["origin.test"] = ["127.0.0.2"]
    clock.now += 9.9
    assert await addresses(resolver) == ["127.0.0.1"]
    assert names.asked == ["origin.test"]
    clock.now += 0.2
    names.answering.clear()
    for _ in range(3):
        found, stale = await resolver.resolve("origin.test")
        assert (found[0][1][0], stale) == ("127.0.0.1", True)
    names.answering.set()
    await resolver.settled("origin.test")
    assert await addresses(resolver) == ["127.0.0.2"]
    assert names.asked == ["origin.test"] * 2


async def test_an_older_answer_waits_a_moment_for_the_new_one(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute the new one comes first, unless the name server takes too long."""
    clock = Clock()
    resolver = Resolver(clock=clock)
    names["origin.test"] = ["127.0.0.1"]
    await addresses(resolver)
    clock.now += 61
    names["origin.test"] = ["127.0.0.2"]
    assert await addresses(resolver) == ["127.0.0.2"]
    clock.now += 61
    names["origin.test"] = ["127.0.0.3"]
    names.answering.clear()
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    assert await addresses(resolver) == ["127.0.0.2"]


async def test_while_the_name_server_is_away_the_old_answer_does(names: Names) -> None:
    """For an hour; then the failure is told."""
    clock = Clock()
    resolver = Resolver(clock=clock)
    names["origin.test"] = ["127.0.0.1"]
    await addresses(resolver)
    del names["origin.test"]
    for seconds in (30, 600, 2900):
        clock.now += seconds
        assert await addresses(resolver) == ["127.0.0.1"]
        await resolver.settled("origin.test")
    clock.now += 100
    with pytest.raises(socket.gaierror, match="not known"):
        await addresses(resolver)


@pytest.mark.parametrize("host", ["no.such.invalid", "a" * 64 + ".invalid", "a\0b.invalid"])
async def test_a_name_that_cannot_be_resolved(host: str) -> None:
    """One kind of error, also for what is no name; nothing of it is kept."""
    resolver = Resolver()
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve(host)


async def test_a_name_with_a_final_dot_is_looked_up_as_it_is(names: Names) -> None:
    """So that no search domain is tried."""
    names["origin.test."] = ["127.0.0.1"]
    assert await addresses(Resolver(), "origin.test.") == ["127.0.0.1"]
    assert names.asked == ["origin.test."]


async def test_the_hosts_file_counts() -> None:
    """The system's own resolver is asked, and it knows `localhost`."""
    assert set(await addresses(Resolver(), "localhost")) <= {"127.0.0.1", "::1"}


async def test_each_look_up_is_told_with_its_outcome(names: Names) -> None:
    """And with the seconds that it took."""
    events: list[Event] = []
    clock = Clock()
    resolver = Resolver(events.append, clock)
    names["origin.test"] = ["127.0.0.1"]
    names.answering.clear()
    waiting = asyncio.ensure_future(addresses(resolver))
    await begun(names, 1)
    clock.now += 2.5
    names.answering.set()
    await waiting
    with pytest.raises(socket.gaierror):
        await resolver.resolve("no.such.test")
    assert events == [NameLookedUp("success", 2.5), NameLookedUp("failure", 0.0)]


async def test_without_threads_it_says_so(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may start no more threads fails this look-up, and nothing else."""

    def refused(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("threading.Thread.start", refused)
    with pytest.raises(socket.gaierror, match="no thread"):
        await Resolver().resolve("origin.test")


async def test_names_are_not_kept_without_end(names: Names) -> None:
    """An issuer's discovery document could name another host each time."""
    resolver = Resolver(clock=lambda: inf)
    for number in range(300):
        with pytest.raises(socket.gaierror):
            await resolver.resolve(f"{number}.test")
    assert len(resolver._names) == module._MOST_NAMES
