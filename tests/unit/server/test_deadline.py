"""`deadline`: one timer, however often the deadline moves."""

import asyncio

from gateway.server.deadline import NEVER, Deadline


class Expiry:
    """Counts expiries and waits for them."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.event = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.started = self.loop.time()
        self.deadline = Deadline(self.loop, self.expired)

    def expired(self) -> None:
        """Called by the deadline."""
        self.times.append(self.loop.time() - self.started)
        self.event.set()


async def test_a_deadline_expires_once() -> None:
    """Not before its time, and not again."""
    expiry = Expiry()
    expiry.deadline.set(0.02)
    await asyncio.wait_for(expiry.event.wait(), 2)
    await asyncio.sleep(0.03)
    assert len(expiry.times) == 1
    assert expiry.times[0] >= 0.015
    assert expiry.deadline.at == NEVER


async def test_a_postponed_deadline_expires_at_its_last_time() -> None:
    """However often it was postponed, and by assignment too."""
    expiry = Expiry()
    for _ in range(3):
        expiry.deadline.set(0.02)
        await asyncio.sleep(0.01)
    expiry.deadline.at = expiry.loop.time() + 0.03
    await asyncio.wait_for(expiry.event.wait(), 2)
    assert expiry.times[0] >= 0.055


async def test_a_deadline_can_come_forward() -> None:
    """A timer that is set for later is not waited for."""
    expiry = Expiry()
    expiry.deadline.set(60)
    expiry.deadline.set(0.02)
    await asyncio.wait_for(expiry.event.wait(), 2)


async def test_a_disarmed_deadline_does_not_expire() -> None:
    """Until it is set again; a closed one for good."""
    expiry = Expiry()
    expiry.deadline.set(0.01)
    expiry.deadline.at = NEVER
    await asyncio.sleep(0.03)
    expiry.deadline.set(0.01)
    expiry.deadline.close()
    await asyncio.sleep(0.03)
    assert expiry.times == []
    expiry.deadline.set(0.01)
    await asyncio.wait_for(expiry.event.wait(), 2)
