"""Single flight: whoever wants what is already being done joins it.

Law: a flight goes on when those who wait for it leave; it never outlives `aclose`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The coroutines in progress, each under the name of what it does."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[T]] = {}

    def underway(self, name: Hashable) -> asyncio.Task[T] | None:
        """The flight of that name, if one is in progress."""
        return self._tasks.get(name)

    def join(
        self, name: Hashable, begin: Callable[[], Coroutine[None, None, T]]
    ) -> asyncio.Task[T]:
        """The flight of that name, begun now unless it is in progress."""
        task = self._tasks.get(name)
        if task is None:
            task = asyncio.get_running_loop().create_task(begin())
            self._tasks[name] = task
            task.add_done_callback(lambda _: self._tasks.pop(name, None))
        return task

    async def aclose(self) -> None:
        """Cancels all of them and waits until they have ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wait_until(task: asyncio.Task[Any] | None, deadline: float) -> None:
    """Waits for a flight, if any, at most until the loop's `deadline`; never cancels it."""
    remaining = deadline - asyncio.get_running_loop().time()
    if task is not None and remaining > 0:
        await asyncio.wait((task,), timeout=remaining)
