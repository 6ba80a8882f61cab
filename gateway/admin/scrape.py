"""Serves scrapes of the metrics: one rendering at a time, shared by all who wait for it.

Rule: every scrape gets figures of after its arrival, and rendering takes at most a tenth of the
time, or one rendering a second, so that requests do not feel how many scrapers there are.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from gateway.observe.negotiation import format_for

Rendered = tuple[bytes, str]
Exposition = Callable[[str], Rendered]

LONGEST_PAUSE: Final = 1.0  # seconds from the start of a rendering to that of the next, at most
_REST: Final = 10  # times the processor time of a rendering


class Scrapes:
    """The renderings that are wanted, by format. `exposition` runs in a thread."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._wanted: dict[str, asyncio.Task[Rendered]] = {}
        self._turn = asyncio.Lock()
        self._next_at = 0.0

    async def scrape(self, accept: str) -> Rendered:
        """The body and its content type, in the format that `Accept` asks for."""
        wanted = format_for(accept)
        task = self._wanted.get(wanted)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._render(wanted))
            self._wanted[wanted] = task
        return await asyncio.shield(task)  # others wait for it, too

    async def _render(self, wanted: str) -> Rendered:
        try:
            async with self._turn:
                await asyncio.sleep(self._next_at - time.monotonic())
                del self._wanted[wanted]  # a later scrape needs figures that are newer
                began = time.monotonic()
                rendered, cost = await asyncio.to_thread(self._timed, wanted)
                self._next_at = began + min(LONGEST_PAUSE, cost * _REST)
        finally:
            if self._wanted.get(wanted) is asyncio.current_task():
                del self._wanted[wanted]
        return rendered

    def _timed(self, wanted: str) -> tuple[Rendered, float]:
        """What was rendered, and its processor time in seconds; runs in a thread."""
        began = time.thread_time()
        rendered = self._exposition(wanted)
        return rendered, time.thread_time() - began
