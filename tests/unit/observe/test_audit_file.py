"""The audit log's file: closed to others, whole lines only, nothing lost, and honest about it."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.observe import audit_file
from gateway.observe.audit_file import AuditFile, open_append
from tests.support.gateway import eventually

Open = Callable[[], AuditFile]


class Told:
    """What the file told the log."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def __call__(self, level: str, event: str, fields: dict[str, Any]) -> None:
        self.events.append(event)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def opened(path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens audit files, quick to try again, and closes them."""
    monkeypatch.setattr(audit_file, "RETRY_SECONDS", 0.02)
    files: list[AuditFile] = []

    def make() -> AuditFile:
        files.append(AuditFile(path, told))
        return files[-1]

    yield make
    for file in files:
        if file._thread.is_alive():
            file.close()


def test_nothing_is_lost_at_exit(path: Path, opened: Open) -> None:
    """`close` writes all that was queued, in order, behind what is there."""
    path.write_text("before\n")
    file = opened()
    for n in range(1000):
        file.write(b"%d\n" % n)
    file.close()
    assert path.read_text() == "before\n" + "".join(f"{n}\n" for n in range(1000))


def test_a_new_file_is_closed_to_others(path: Path, opened: Open) -> None:
    """Whatever the mask of the process allows."""
    before = os.umask(0)
    try:
        opened().close()
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_proves_nothing_is_refused(tmp_path: Path) -> None:
    """A link, a directory, a pipe, and a file to which everyone may write."""
    target = tmp_path / "target"
    target.touch()
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    target.chmod(0o666)
    for path in (tmp_path / "link", tmp_path, tmp_path / "pipe", target):
        with pytest.raises(OSError, match=r"."):
            open_append(path)


def test_what_everyone_may_read_is_closed_to_them(path: Path, opened: Open) -> None:
    """As logrotate may leave it; its group keeps its right. Only looking changes nothing."""
    path.touch()
    path.chmod(0o644)
    os.close(open_append(path, create=False))
    assert path.stat().st_mode & 0o777 == 0o644
    opened().close()
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_everyone_may_read_and_someone_else_owns_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be closed to them."""
    path.touch()
    path.chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(PermissionError, match="everyone may read it"):
        open_append(path)


async def test_written_means_on_disk(
    path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is in the file, and the file has been synchronised since."""
    synced: list[bytes] = []

    def sync(_: int) -> None:
        synced.append(path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", sync)
    file = opened()
    file.write(b"first\n")
    assert await file.written(b"second\n")
    assert synced == [b"first\nsecond\n"]


async def test_who_waits_is_not_held_up_for_company(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines that nobody waits for may take their time; one that is waited for takes them along."""
    monkeypatch.setattr(audit_file, "BATCH_SECONDS", 60.0)
    file = opened()
    for _ in range(3):
        file.write(b"plain\n")
        assert await file.written(b"urgent\n")


async def test_those_who_wait_share_one_synchronisation(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk is busy others gather; one more turn of it serves them all."""
    go, turns = threading.Event(), threading.Semaphore(0)
    count = 0

    def sync(_: int) -> None:
        nonlocal count
        count += 1
        turns.release()
        assert go.wait(5)

    monkeypatch.setattr(os, "fdatasync", sync)
    file = opened()
    first = asyncio.create_task(file.written(b"first\n"))
    await asyncio.to_thread(turns.acquire)
    others = [asyncio.create_task(file.written(b"%d\n" % n)) for n in range(50)]
    await asyncio.sleep(0)
    go.set()
    assert all(await asyncio.gather(first, *others))
    assert count == 2


async def test_a_disk_that_fails_is_told_and_refused(
    path: Path, opened: Open, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """False at once while it fails; what it lost is written again when it is back."""
    broken = True

    def sync(_: int) -> None:
        if broken:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", sync)
    file = opened()
    assert not await file.written(b"one\n")
    assert file.trouble()
    assert told.events == ["audit_failed"]
    assert not await file.written(b"never\n")
    broken = False
    eventually(lambda: not file.failing)
    assert await file.written(b"two\n")
    assert told.events == ["audit_failed", "audit_recovered"]
    assert file.trouble() == ""
    lines = path.read_text().splitlines()
    assert {*lines} == {"one", "two"}
    assert lines[-1] == "two"


async def test_a_disk_that_hangs_is_not_waited_for(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `PATIENCE` the answer is no."""
    go = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _: go.wait(10))
    monkeypatch.setattr(audit_file, "PATIENCE", 0.05)
    assert not await opened().written(b"line\n")
    go.set()


def test_a_full_disk_tears_no_line(
    path: Path, opened: Open, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What did not fit follows when there is room, also if the file was renamed meanwhile."""
    room, write = [5], os.write

    def crowded(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        count = write(descriptor, data[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr(os, "write", crowded)
    file = opened()
    file.write(b"0123456789\n")
    eventually(lambda: file.failing)
    path.rename(path.with_suffix(".1"))
    file.write(b"next\n")
    room[0] = 1000
    eventually(lambda: not file.failing)
    file.write(b"last\n")
    file.close()
    assert path.with_suffix(".1").read_text() == "0123456789\nnext\n"
    assert path.read_text() == "last\n"
    assert told.events == ["audit_failed", "audit_recovered"]


def test_too_much_that_waits_is_dropped_and_told(
    opened: Open, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; a hole in the log does not go unnoticed."""
    go = threading.Event()
    monkeypatch.setattr(audit_file, "LIMIT", 100)
    write = os.write

    def held(descriptor: int, data: bytes) -> int:
        assert go.wait(5)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", held)
    file = opened()
    for _ in range(20):
        file.write(b"0123456789\n")
    assert 0 < file.dropped < 20
    assert told.events == ["audit_lines_lost"]
    assert "lost" in file.trouble()
    go.set()


def test_a_renamed_file_is_made_anew(path: Path, opened: Open) -> None:
    """As logrotate does it, with nobody told."""
    file = opened()
    file.write(b"old\n")
    eventually(lambda: path.read_text() == "old\n")
    path.rename(path.with_suffix(".1"))
    file.write(b"new\n")
    eventually(lambda: path.exists() and path.read_text() == "new\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_torn_last_line_is_ended_first(path: Path, opened: Open) -> None:
    """One whose writer was killed spoils itself only."""
    path.write_text('{"half": ')
    file = opened()
    file.write(b"whole\n")
    file.close()
    assert path.read_text() == '{"half": \nwhole\n'
