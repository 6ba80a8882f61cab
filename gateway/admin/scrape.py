"""Serves scrapes of the metrics: one rendering at a time, shared by all who wait for it.

Rule: every scrape gets figures of after its arrival, and the longer a body is, the longer the next
one waits, so that requests do not feel how many scrapers there are. Scrapers that read slowly hold
at most `MOST_BODIES`.
"""

import asyncio
import sys
import time
import weakref
from collections.abc import Callable
from typing import Final

from gateway.observe.negotiation import format_for

Exposition = Callable[[str], tuple[bytes, str]]

# Seconds from the start of a rendering to that of the next: one for each MiB, and at most so many.
LONGEST_PAUSE: Final = 3.0
MOST_BODIES: Final = 3  # that are in memory at one time, until their scrapers have taken them
_PAUSE: Final = 1 / 2**20  # seconds a byte
# Seconds until a rendering lets the event loop go on, which is ready several times for each request
# (by default 5 ms).
_SWITCH: Final = 0.0005


class Rendered:
    """A scrape's body and its content type; alive as long as a scraper reads it."""

    __slots__ = ("__weakref__", "body", "content_type")

    def __init__(self, body: bytes, content_type: str) -> None:
        self.body = body
        self.content_type = content_type


class TooManyBodiesError(Exception):
    """`MOST_BODIES` are being read, so no other is made."""


class Scrapes:
    """The renderings that are wanted, by format. `exposition` runs in a thread."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._wanted: dict[str, asyncio.Task[Rendered]] = {}
        self._read: weakref.WeakSet[Rendered] = weakref.WeakSet()
        self._turn = asyncio.Lock()
        self._next_at = 0.0

    async def scrape(self, accept: str) -> Rendered:
        """The body in the format that `Accept` asks for; the caller keeps it until it is sent.

        Raises `TooManyBodiesError`, and whatever the exposition raises.
        """
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
                if len(self._read) >= MOST_BODIES:
                    raise TooManyBodiesError
                began = time.monotonic()
                rendered = await asyncio.to_thread(self._rendered, wanted)
                self._next_at = began + min(LONGEST_PAUSE, len(rendered.body) * _PAUSE)
                self._read.add(rendered)
        finally:
            if self._wanted.get(wanted) is asyncio.current_task():
                del self._wanted[wanted]
        return rendered

    def _rendered(self, wanted: str) -> Rendered:
        """Runs in a thread."""
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        try:
            return Rendered(*self._exposition(wanted))
        finally:
            sys.setswitchinterval(usual)
