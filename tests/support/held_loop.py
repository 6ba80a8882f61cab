"""An event loop whose clock and turns the test moves."""

import asyncio
from collections.abc import Callable


class HeldLoop:
    """A `turns.Loop`: time stands still, and what is scheduled runs in `turn`."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: list[Callable[[], None]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._ready.append(callback)

    def create_future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def turn(self) -> bool:
        """Runs what has been scheduled by now; whether there was anything."""
        ready, self._ready = self._ready, []
        for callback in ready:
            callback()
        return bool(ready)
