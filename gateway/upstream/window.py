"""Counts over the recent past: how often something happened within the last so many seconds.

Rule: memory and cost do not depend on the count; nothing older than the window counts.
"""

from collections import deque
from math import inf
from typing import Final

SLOTS: Final = 20  # per window: the oldest twentieth is dropped as a whole


class SlidingCount:
    """How often within the last `seconds`; times are monotonic seconds and never go back."""

    __slots__ = ("_counts", "_ends", "_total", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / SLOTS
        self._counts: deque[list[int]] = deque()  # [slot, how often], oldest first
        self._total = 0
        self._ends = -inf  # of the newest slot

    def add(self, now: float) -> int:
        """Counts one more, and returns the count with it."""
        if now >= self._ends:
            self._advance(now)
        self._counts[-1][1] += 1
        self._total += 1
        return self._total

    def count(self, now: float) -> int:
        """How often it happened."""
        if now >= self._ends:
            self._advance(now)
        return self._total

    def _advance(self, now: float) -> None:
        slot = int(now // self._width)
        while self._counts and self._counts[0][0] <= slot - SLOTS:
            self._total -= self._counts.popleft()[1]
        self._counts.append([slot, 0])
        self._ends = (slot + 1) * self._width
