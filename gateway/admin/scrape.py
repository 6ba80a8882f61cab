"""Serves scrapes of the metrics: one rendering at a time, shared by all who wait for it.

Rule: every scrape gets figures of after its arrival, and rendering takes at most a tenth of the
time, or one rendering in three seconds, so that requests do not feel how many scrapers there are.
Scrapers that read slowly hold at most `MOST_BODIES`.
"""

import asyncio
import sys
import time
import weakref
from collections.abc import Callable
from typing import Final

from gateway.observe.negotiation import format_for

Exposition = Callable[[str], tuple[bytes, str]]

LONGEST_PAUSE: Final = 3.0  # seconds from the start of a rendering to that of the next, at most
MOST_BODIES: Final = 3  # that are in memory at one time, until their scrapers have taken them
_REST: Final = 10  # times the processor time of a rendering
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
                rendered, cost = await asyncio.to_thread(self._timed, wanted)
                self._next_at = began + min(LONGEST_PAUSE, cost * _REST)
                self._read.add(rendered)
        finally:
            if self._wanted.get(wanted) is asyncio.current_task():
                del self._wanted[wanted]
        return rendered

    def _timed(self, wanted: str) -> tuple[Rendered, float]:
        """What was rendered, and its processor time in seconds; runs in a thread."""
        began, usual = time.thread_time(), sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH)
        try:
            rendered = Rendered(*self._exposition(wanted))
        finally:
            sys.setswitchinterval(usual)
        return rendered, time.thread_time() - began
