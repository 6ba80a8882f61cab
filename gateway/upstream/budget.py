"""The retry budget: retries must stay a small share of the traffic, or they become the overload.

Law: decides; no I/O, time comes in as `now` (monotonic seconds).
"""

from collections import deque
from typing import Final

from gateway.upstream.window import SlidingCount

WINDOW: Final = 10.0  # seconds that count as recent
REQUESTS_PER_RETRY: Final = 5  # so retries are at most 20 % of requests …
ALWAYS_PER_SECOND: Final = 10  # … but these are allowed however little traffic there is


class Budget:
    """Counts requests, and grants retries in proportion to them."""

    def __init__(self) -> None:
        self._requests = SlidingCount(WINDOW)
        self._retries = SlidingCount(WINDOW)
        self._latest: deque[float] = deque(maxlen=ALWAYS_PER_SECOND)

    def request(self, now: float) -> None:
        """A request is about to be sent for the first time."""
        self._requests.add(now)

    def take(self, now: float) -> bool:
        """Whether one more retry is within the budget; it is counted if so."""
        few = len(self._latest) < ALWAYS_PER_SECOND or now - self._latest[0] >= 1.0
        retries = self._retries.count(now) + 1
        if not few and retries * REQUESTS_PER_RETRY > self._requests.count(now):
            return False
        self._retries.add(now)
        self._latest.append(now)
        return True
