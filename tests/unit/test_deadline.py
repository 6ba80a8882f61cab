"""`deadline`: one timer, however often the deadline moves. On a clock in the test's hand."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import cast

from gateway.deadline import NEVER, Deadline


class Timer:
    """What a loop gives for a call that is due."""

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call = call
        self.cancelled = False

    def when(self) -> float:
        """When it is due."""
        return self.due

    def cancel(self) -> None:
        """It will not come."""
        self.cancelled = True


class Clock:
    """A loop with nothing but time, and one deadline. It calls back `early` seconds too soon."""

    def __init__(self, early: float = 0.0) -> None:
        self.now = 100.0
        self.times: list[float] = []
        self.timers: list[Timer] = []
        self._early = early
        self.deadline = Deadline(cast("AbstractEventLoop", self), self._expired)

    def time(self) -> float:
        """Seconds."""
        return self.now

    def call_at(self, due: float, call: Callable[[], None]) -> Timer:
        """A timer, kept with the others."""
        self.timers.append(Timer(due, call))
        return self.timers[-1]

    def pass_by(self, seconds: float) -> None:
        """Lets time pass, and whatever is due in it happen at its time."""
        end = self.now + seconds
        while due := [t for t in self.timers if not t.cancelled and t.due - self._early <= end]:
            timer = min(due, key=Timer.when)
            self.timers.remove(timer)
            self.now = max(self.now, timer.due - self._early)
            timer.call()
        self.now = end

    def _expired(self) -> None:
        self.times.append(round(self.now - 100.0, 6))


def test_a_deadline_expires_once() -> None:
    """Not before its time, and not again."""
    clock = Clock()
    clock.deadline.set(2.0)
    clock.pass_by(1.9)
    assert clock.times == []
    clock.pass_by(10.0)
    assert clock.times == [2.0]
    assert clock.deadline.at == NEVER


def test_a_postponed_deadline_expires_at_its_last_time() -> None:
    """However often it was postponed, and by assignment too; without a timer for each."""
    clock = Clock()
    for _ in range(3):
        clock.deadline.set(2.0)
        clock.pass_by(1.0)
    clock.deadline.at = clock.time() + 3.0
    assert len(clock.timers) == 1
    clock.pass_by(10.0)
    assert clock.times == [6.0]


def test_a_deadline_can_come_forward() -> None:
    """A timer that is set for later is not waited for."""
    clock = Clock()
    clock.deadline.set(60.0)
    clock.deadline.set(2.0)
    clock.pass_by(100.0)
    assert clock.times == [2.0]


def test_a_timer_that_is_a_little_early_will_do() -> None:
    """The loop counts whole milliseconds: no second timer for the last one."""
    clock = Clock(early=0.001)
    clock.deadline.set(2.0)
    clock.pass_by(10.0)
    assert clock.times == [1.999]


def test_a_disarmed_deadline_does_not_expire() -> None:
    """Until it is set again; a closed one for good."""
    clock = Clock()
    clock.deadline.set(1.0)
    clock.deadline.at = NEVER
    clock.pass_by(3.0)
    clock.deadline.set(1.0)
    clock.deadline.close()
    clock.pass_by(3.0)
    assert clock.times == []
    clock.deadline.set(1.0)
    clock.pass_by(3.0)
    assert clock.times == [7.0]
