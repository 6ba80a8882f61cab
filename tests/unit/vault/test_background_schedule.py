"""Which slot is due next: the earliest, each once, never one that is retired."""

import asyncio

from gateway.vault.background import Schedule
from gateway.vault.key_ring import Slot
from tests.support.vaults import key_source


def slot(name: str) -> Slot:
    return Slot(name, "key", key_source(env="ACME"))


async def tenants(schedule: Schedule, count: int) -> list[str]:
    """The tenants of the slots that come up, in order."""
    async with asyncio.timeout(5):
        return [(await schedule.next()).tenant for _ in range(count)]


async def test_the_earliest_comes_first_and_equals_in_the_order_they_were_put() -> None:
    """Whatever order they were put in; also those that are due at this very moment."""
    schedule = Schedule(lambda: 9.0)
    for name, due in (("c", 9.0), ("a", 1.0), ("d", 9.0), ("b", 2.0)):
        schedule.put(slot(name), due)
    assert await tenants(schedule, 4) == ["a", "b", "c", "d"]


async def test_a_slot_that_is_put_twice_comes_up_once_at_the_earlier_time() -> None:
    """A later time changes nothing, an earlier one replaces it; then it may be put again."""
    schedule = Schedule(lambda: 9.0)
    twice, other = slot("twice"), slot("other")
    schedule.put(twice, 5.0)
    schedule.put(other, 3.0)
    schedule.put(twice, 1.0)
    schedule.put(twice, 1.0)
    schedule.put(twice, 7.0)
    schedule.put(slot("last"), 8.0)
    assert await tenants(schedule, 3) == ["twice", "other", "last"]
    schedule.put(twice, 6.0)
    assert await tenants(schedule, 1) == ["twice"]


async def test_a_retired_slot_does_not_come_up() -> None:
    """What left the configuration meanwhile is passed over."""
    schedule = Schedule(lambda: 9.0)
    gone = slot("gone")
    schedule.put(gone, 1.0)
    schedule.put(slot("stays"), 2.0)
    gone.retired = True
    assert await tenants(schedule, 1) == ["stays"]


async def test_nothing_comes_up_before_its_time() -> None:
    """The consumer waits as long as the first slot has to, without being woken."""
    loop, looks = asyncio.get_running_loop(), list[float]()

    def clock() -> float:
        looks.append(loop.time())
        return looks[-1]

    schedule = Schedule(clock)
    due = loop.time() + 0.02
    schedule.put(slot("later"), due)
    assert await tenants(schedule, 1) == ["later"]
    assert looks[-1] >= due
    assert len(looks) <= 4


async def test_an_earlier_slot_wakes_the_consumer() -> None:
    """Whether it waits for nothing yet, or for a slot that is due in an hour."""
    now = 0.0
    schedule = Schedule(lambda: now)
    for name in ("first", "second"):
        waiting = asyncio.ensure_future(tenants(schedule, 1))
        await asyncio.sleep(0)  # it waits now
        assert not waiting.done()
        schedule.put(slot(name), now)
        assert await waiting == [name]
        schedule.put(slot("in an hour"), 3600.0)


async def test_by_urgency() -> None:
    """Of those that are due, the most urgent comes first, however late it became due."""
    ends = {"soon": 12.0, "later": 30.0, "last": 40.0}
    schedule = Schedule(lambda: 9.0, lambda slot: ends[slot.tenant])
    for due, name in enumerate(("last", "later", "soon")):
        schedule.put(slot(name), float(due))
    assert await tenants(schedule, 1) == ["soon"]
    ends["urgent"] = 10.0
    schedule.put(slot("urgent"), 9.0)
    schedule.put(slot("not due"), 9.5)
    assert await tenants(schedule, 3) == ["urgent", "later", "last"]
    assert schedule.take() is None


async def test_what_was_done_meanwhile_does_not_come_up() -> None:
    """But what became due after that does."""
    schedule = Schedule(lambda: 9.0)
    done, again = slot("done"), slot("again")
    for one in (done, again):
        schedule.put(one, 5.0)
    schedule.forget(done, 5.0)
    schedule.forget(again, 4.0)
    assert await tenants(schedule, 1) == ["again"]
    assert schedule.take() is None
    schedule.put(done, 8.0)
    assert await tenants(schedule, 1) == ["done"]
