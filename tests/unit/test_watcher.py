"""The watcher, over a real file system: every way in which a file can change."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway import watcher
from gateway.watcher import Watcher


class Reloads:
    """Counts calls, and what a watched file held at each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: list[str] = []
        self.watcher = Watcher(self.reload)

    async def reload(self) -> None:
        """As the app would: reads what is there."""
        self.seen.append(self.path.read_text() if self.path.exists() else "")

    async def looks(self, count: int) -> None:
        """Waits until it has looked so often, from now on."""
        look = self.watcher._look
        done = asyncio.Event()

        async def counted() -> dict[Path, tuple[int, ...]]:
            nonlocal count
            count -= 1
            if not count:
                done.set()
            return await look()

        self.watcher._look = counted  # type: ignore[method-assign]
        async with asyncio.timeout(5):
            await done.wait()

    async def until(self, content: str) -> None:
        """Waits for a reload that saw this content; the contract allows 2 s."""
        async with asyncio.timeout(3.0):
            while content not in self.seen:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(path: Path) -> AsyncIterator[Reloads]:
    """A running watcher of one path."""
    reloads = Reloads(path)
    reloads.watcher.watch([path], time.time() + 1.0)
    task = asyncio.ensure_future(reloads.watcher.run())
    try:
        yield reloads
    finally:
        task.cancel()
        await asyncio.wait((task,))


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "INTERVAL", 0.02)
    monkeypatch.setattr(watcher, "SHARE", 1.0)


def renamed(path: Path) -> None:
    """A new file takes the path's place."""
    other = path.with_suffix(".new")
    other.write_text("two")
    other.replace(path)


def rewritten(path: Path) -> None:
    """The file itself is truncated and written."""
    path.write_text("two")


def same_size_and_time(path: Path) -> None:
    """A rewrite that hides: equal in size, its time set back."""
    status = path.stat()
    path.write_text("two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def recreated(path: Path) -> None:
    """Deleted, and written anew."""
    path.unlink()
    path.write_text("two")


@pytest.mark.parametrize("change", [renamed, rewritten, same_size_and_time, recreated])
async def test_a_changed_file_is_reloaded(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """Case 164: however a file is replaced, its new content is loaded."""
    path = tmp_path / "key"
    path.write_text("one")
    async with watching(path) as reloads:
        change(path)
        await reloads.until("two")


async def test_a_kubernetes_swap_is_noticed(tmp_path: Path) -> None:
    """Case 164: `..data` is swapped; the path itself, a symlink, stays as it was."""
    for version, content in (("..v1", "one"), ("..v2", "two")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "key").write_text(content)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "key").symlink_to("..data/key")
    async with watching(tmp_path / "key") as reloads:
        (tmp_path / "..data_tmp").symlink_to("..v2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        await reloads.until("two")


async def test_a_file_that_appears_and_vanishes(tmp_path: Path) -> None:
    """A watched path may be empty at first, and may become so."""
    path = tmp_path / "key"
    async with watching(path) as reloads:
        path.write_text("two")
        await reloads.until("two")
        path.unlink()
        await reloads.until("")


@pytest.mark.parametrize("there", [True, False])
async def test_nothing_is_reloaded_without_a_change(tmp_path: Path, there: bool) -> None:
    """Files that stand still, or stay away, cause no reload, however often they are looked at."""
    path = tmp_path / "key"
    if there:
        path.write_text("one")
    async with watching(path) as reloads:
        await reloads.looks(5)
        assert reloads.seen == []


async def test_a_storm_is_one_reload_of_the_last_state(tmp_path: Path) -> None:
    """Case 168: while a file keeps changing nothing is loaded; then its last state, once."""
    path = tmp_path / "key"
    path.write_text("one")
    async with watching(path) as reloads:
        for number in range(40):
            path.write_text(f"state {number}")
            await asyncio.sleep(0.01)
        path.write_text("last")
        await reloads.until("last")
        await reloads.looks(3)
        assert reloads.seen == ["last"]


async def test_asking_reloads_without_a_change(tmp_path: Path) -> None:
    """SIGHUP loads everything again."""
    path = tmp_path / "key"
    path.write_text("one")
    async with watching(path) as reloads:
        reloads.watcher.ask()
        await reloads.until("one")


async def test_what_changed_while_it_was_being_loaded_is_loaded_again(tmp_path: Path) -> None:
    """A path that is watched for the first time counts as changed if it is newer than its read."""
    path = tmp_path / "key"
    path.write_text("one")
    reloads = Reloads(path)
    reloads.watcher.watch([path], since=time.time() - 60.0)
    task = asyncio.ensure_future(reloads.watcher.run())
    await reloads.until("one")
    task.cancel()
    await asyncio.wait((task,))


async def test_what_changed_before_a_path_is_watched_again_is_loaded(tmp_path: Path) -> None:
    """A reload that watches the same paths takes no change for granted that it did not see."""
    path = tmp_path / "key"
    path.write_text("one")
    reloads = Reloads(path)
    reloads.watcher.watch([path], time.time() + 1.0)
    path.write_text("two")
    reloads.watcher.watch([path], time.time() + 1.0)
    task = asyncio.ensure_future(reloads.watcher.run())
    await reloads.until("two")
    task.cancel()
    await asyncio.wait((task,))


async def test_very_many_files_are_looked_at_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a look at all takes of the processor is bounded, however many they are."""
    path = tmp_path / "key"
    path.write_text("one")
    monkeypatch.setattr(watcher, "INTERVAL", 0.001)
    monkeypatch.setattr(watcher, "SHARE", 1e-9)  # the next look at all is in years
    looks: list[frozenset[Path]] = []
    real = watcher._marks_of

    def counted(paths: Iterable[Path]) -> dict[Path, tuple[int, ...]]:
        marks = real(paths)
        looks.append(frozenset(marks))
        return marks

    monkeypatch.setattr(watcher, "_marks_of", counted)
    async with watching(path) as reloads:
        async with asyncio.timeout(5):
            while looks.count(frozenset({tmp_path})) < 10:
                await asyncio.sleep(0)
        assert looks.count(frozenset({path})) == 1
        reloads.watcher.ask()
        await reloads.until("one")


@pytest.mark.parametrize("change", [renamed, recreated])
async def test_among_very_many_files_a_replaced_one_is_noticed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    """When a look at all files takes long it is rare; their directories tell meanwhile."""
    path = tmp_path / "key"
    path.write_text("one")
    async with watching(path) as reloads:
        monkeypatch.setattr(watcher, "SHARE", 1e-9)  # the next look at all is in years
        async with asyncio.timeout(5):
            while not reloads.watcher._directories:
                await asyncio.sleep(0.005)
        change(path)
        await reloads.until("two")
