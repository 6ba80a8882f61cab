"""The line writer: nothing blocks serving, nothing is lost at exit."""

import errno
import os
import threading
from pathlib import Path

import pytest

from gateway.observe import writer
from gateway.observe.writer import LineWriter


def drain(descriptor: int) -> bytes:
    read = bytearray()
    while chunk := os.read(descriptor, 65536):
        read += chunk
    return bytes(read)


def test_lines_arrive_in_order_and_none_is_lost_at_exit() -> None:
    """`close` writes all that was queued, in order."""
    out, into = os.pipe()
    lines = LineWriter(into)
    for n in range(1000):
        lines.write(b"%d\n" % n)
    lines.close()
    os.close(into)
    assert drain(out) == b"".join(b"%d\n" % n for n in range(1000))
    os.close(out)


def test_a_blocked_reader_blocks_nobody() -> None:
    """With nobody reading the pipe, `write` returns and drops past the limit, counted."""
    out, into = os.pipe()
    lines = LineWriter(into)
    line = b"x" * 65536
    done = threading.Event()

    def write() -> None:
        for _ in range(writer.LIMIT // len(line) + 10):
            lines.write(line)
        done.set()

    threading.Thread(target=write, daemon=True).start()
    assert done.wait(5)
    assert lines.dropped > 0
    reader = threading.Thread(target=drain, args=(out,), daemon=True)
    reader.start()
    lines.close(10)
    os.close(into)
    reader.join(10)
    os.close(out)


def test_a_closed_reader_is_survived() -> None:
    """A reader that went away costs lines, never the process."""
    out, into = os.pipe()
    os.close(out)
    lines = LineWriter(into)
    lines.write(b"lost\n")
    lines.close()
    os.close(into)


def test_a_full_disk_loses_whole_lines_and_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that broke off is ended before the next one; each one that is not whole is counted."""
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    lines = LineWriter(descriptor)
    write, room = os.write, [7]

    def full(into: int, data: bytes) -> int:
        if into != descriptor:
            return write(into, data)
        if not room[0]:
            raise OSError(errno.ENOSPC, "no space")
        count = write(into, bytes(data)[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr(os, "write", full)
    lines.write(b"first\nsecond\nthird\n")
    while not lines.dropped:
        threading.Event().wait(0.01)
    room[0] = 1000
    lines.write(b"fourth\n")
    lines.close()
    os.close(descriptor)
    assert path.read_bytes() == b"first\ns\nfourth\n"
    assert lines.dropped == 2
