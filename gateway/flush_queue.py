"""Connections whose bytes leave together, at the end of a turn of the event loop.

Rule: with many requests in flight nothing is sent one by one. A send wakes its peer, whose answer
comes before the next send: every turn would handle one request, with cold caches.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

SMALL: Final = 16 * 1024  # the most bytes that wait for the end of a turn
# So few requests in flight are not worth a turn more (measured: tests/bench/README.md).
FEW = 4  # not Final: tests set it


class Flushable(Protocol):
    """A connection that holds bytes back."""

    def flush(self) -> None:
        """Sends them, if it still holds any."""


class FlushQueue:
    """The connections of one side, the callers' or an origin's; `in_flight` counts its requests."""

    __slots__ = ("_in_flight", "_waiting")

    def __init__(self, in_flight: Callable[[], int]) -> None:
        self._in_flight = in_flight
        self._waiting: list[Flushable] = []

    def add(self, connection: Flushable) -> bool:
        """Whether `connection` will be flushed soon; else it should send at once."""
        if not self._waiting:
            if self._in_flight() <= FEW:
                return False
            self._schedule()
        self._waiting.append(connection)
        return True

    def _schedule(self) -> None:
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        flushed = 0
        try:
            for connection in waiting:
                flushed += 1
                connection.flush()
        finally:
            if flushed < len(waiting):  # one has failed, which must not hold the others up
                if not self._waiting:
                    self._schedule()
                self._waiting = waiting[flushed:] + self._waiting
