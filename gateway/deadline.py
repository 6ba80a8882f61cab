"""One timer per deadline, re-armed lazily: moving a deadline later costs an assignment."""

import asyncio
from collections.abc import Callable
from typing import Final

NEVER: Final = float("inf")
# libuv's timers count whole milliseconds and may come that much too early.
_CLOCK_STEP: Final = 0.002


class Deadline:
    """Calls back once the loop's clock has passed `at`. Assign `at` to postpone or to disarm."""

    __slots__ = ("_due", "_expired", "_loop", "_timer", "at")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self.at = NEVER
        self._loop = loop
        self._expired = expired
        self._timer: asyncio.TimerHandle | None = None
        self._due = NEVER  # when the timer fires

    def set(self, seconds: float) -> None:
        """Expires `seconds` from now, sooner or later than before."""
        self.at = at = self._loop.time() + seconds
        if at + _CLOCK_STEP < self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._call_at(at)

    def close(self) -> None:
        """Disarms for good and lets go of its owner."""
        self.at = NEVER
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._due = NEVER

    def _call_at(self, due: float) -> None:
        self._due = due
        self._timer = self._loop.call_at(due, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._due = NEVER
        if self.at == NEVER:
            return
        if self._loop.time() + _CLOCK_STEP < self.at:
            self._call_at(self.at)
            return
        self.at = NEVER
        self._expired()
