"""Notices changed files, whatever the change: rename, symlink swap, rewrite in place, new mount.

Rule: polls what each path leads to, because some file systems and mounts send no notifications, and
inotify can run out; a reload begins only once no file changes any more.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

Mark = tuple[int, ...]


def mark_of(status: os.stat_result) -> Mark:
    """Times show a rewrite, the inode shows a swap."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


INTERVAL: Final = 0.5  # seconds between two looks
SHARE: Final = 0.04  # of one core at most: 10,000 files take some 30 ms a look
# Beyond some 20,000 files a look at all of them takes place less often than INTERVAL. In between
# only their directories are looked at, which shows all changes but a rewrite in place.
STILL_FOR: Final = 0.2  # seconds without a change of size or time before a reload
PATIENCE: Final = 2.0  # seconds; files that keep changing are loaded all the same
_NOTHING: Final[Mark] = (-1,)


class Watcher:
    """Calls `reload` when a watched file has changed, or on `ask`; one call at a time."""

    def __init__(self, reload: Callable[[], Awaitable[None]]) -> None:
        self._reload = reload
        self._marks: dict[Path, Mark] = {}
        self._directories: dict[Path, Mark] = {}
        self._asked = asyncio.Event()
        self._took = 0.0

    def watch(self, paths: Iterable[Path], since: float) -> None:
        """Watches exactly these paths from now on, also those that do not exist yet.

        `since` is the wall-clock time when reading them began: later changes count.
        """
        known, self._marks = self._marks, {}
        for path in paths:
            mark = known.get(path) or _mark(path)
            self._marks[path] = () if path not in known and _changed_after(path, since) else mark

    def ask(self) -> None:
        """Asks for a reload, whether anything changed or not: for `SIGHUP`."""
        self._asked.set()

    async def run(self) -> None:
        """Looks until cancelled."""
        while True:
            await self._pause()
            marks = await self._look()
            if self._asked.is_set() or marks != self._marks:
                self._asked.clear()
                self._marks = await self._settled(marks)
                await self._reload()

    async def _pause(self) -> None:
        """Until asked, until files came, went or were replaced, or until a look is due."""
        due = time.monotonic() + self._took / SHARE
        while not await self._asked_within(INTERVAL) and time.monotonic() < due:
            if await asyncio.to_thread(_marks_of, self._directories) != self._directories:
                return

    async def _asked_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._asked.wait()
        except TimeoutError:
            return False

    async def _look(self) -> dict[Path, Mark]:
        started = time.perf_counter()
        # First the directories: what changes in between is seen twice, never missed.
        self._directories = await asyncio.to_thread(_directories_of, tuple(self._marks))
        marks = await asyncio.to_thread(_marks_of, tuple(self._marks))
        self._took = time.perf_counter() - started
        return marks

    async def _settled(self, marks: dict[Path, Mark]) -> dict[Path, Mark]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            await asyncio.sleep(STILL_FOR)
            again = await self._look()
            if again == marks:
                break
            marks = again
        return marks


def _marks_of(paths: Iterable[Path]) -> dict[Path, Mark]:
    return {path: _mark(path) for path in paths}


def _directories_of(paths: Iterable[Path]) -> dict[Path, Mark]:
    names = {os.path.dirname(path) for path in paths}  # noqa: PTH120 - a third of Path.parent
    return _marks_of(map(Path, names))


def _mark(path: Path) -> Mark:
    """The state of the file at that path; `_NOTHING` if there is none."""
    try:
        return mark_of(os.stat(path))  # noqa: PTH116 - half the price of Path.stat, 10,000 times
    except OSError:
        return _NOTHING


def _changed_after(path: Path, since: float) -> bool:
    try:
        return path.stat().st_ctime > since
    except OSError:
        return False
