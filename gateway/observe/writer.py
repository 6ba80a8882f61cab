"""Lines to a file descriptor in batches, from a thread of its own.

A reader of stdout that is blocked never blocks serving; lines are lost only while more than `LIMIT`
bytes wait, or the disk is full, and then counted; none at exit.
"""

import os
import stat
import threading
from pathlib import Path
from typing import Final

BATCH_SECONDS = 0.02  # how long a line may wait for others; not Final: the bench sets it
_LINE_END: Final = 0x0A
LIMIT: Final = 8 * 1024 * 1024  # bytes waiting at most; later lines are dropped and counted


class LineWriter:
    """A bounded queue of lines in front of a blocking file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # One block, not the lines: each would keep several KiB that the JSON library reserved.
        self._lines = bytearray()
        self._waiting = 0
        self._awake = threading.Event()
        self._called = False  # `write` has set that: to look at it would be a call in Python
        self._closing = threading.Event()
        self._path = _path_of(descriptor)
        self._reopen = False
        self._whole = True  # the last byte written ended a line
        self.dropped = 0
        self.to_terminal = os.isatty(descriptor)
        self._worker = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._worker.start()

    def write(self, line: bytes) -> None:
        """Queues one line, newline included. Never blocks."""
        if self._waiting > LIMIT:
            self.dropped += 1
            return
        self._lines.extend(line)
        size = len(line)  # taken first: no other thread can come between reading and adding
        self._waiting += size
        if not self._called:
            self._called = True
            self._awake.set()

    def reopen(self) -> None:
        """Goes on in a new file if the one that it writes to has been renamed or removed."""
        self._reopen = True
        self._awake.set()

    def close(self, timeout: float = 2.0) -> None:
        """Writes what is waiting, for at most `timeout` seconds."""
        self._closing.set()
        self._awake.set()
        self._worker.join(timeout)

    def _run(self) -> None:
        while True:
            self._awake.wait()
            self._closing.wait(BATCH_SECONDS)
            self._awake.clear()
            self._called = False  # whose line is in this batch may still have seen it True
            if self._reopen:
                self._reopen = False
                _renew(self._descriptor, self._path)
            batch, self._lines = self._lines, bytearray()
            size = len(batch)
            self._write_all(batch)
            del batch
            self._waiting -= size
            if self._closing.is_set() and not self._lines:
                return

    def _write_all(self, batch: bytearray) -> None:
        glue = b"" if self._whole else b"\n"  # a line broke off: what follows must not touch it
        batch[:0] = glue
        view = memoryview(batch)
        while view:
            try:
                written = os.write(self._descriptor, view)
                view = view[written:]
            except BlockingIOError:  # somebody made the descriptor non-blocking
                self._closing.wait(BATCH_SECONDS)
            except OSError:  # the disk is full, or the reader is gone
                lines = batch.count(b"\n") - len(glue)
                self.dropped += min(lines, view.tobytes().count(b"\n"))
                return
            end = len(batch) - len(view)
            self._whole = end > 0 and batch[end - 1] == _LINE_END


def _path_of(descriptor: int) -> str:
    """Where a descriptor's file lies, if it is one that can be reopened, else ""."""
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        pass
    return ""


def _renew(descriptor: int, path: str) -> None:
    """Puts the file that is at the path now, or a new one, in the descriptor's place.

    The old one stays in use where that is impossible: it still takes lines.
    """
    if not path:
        return
    try:
        old = os.fstat(descriptor)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fresh = os.open(path, flags, stat.S_IMODE(old.st_mode))
    except OSError:
        return
    try:
        if stat.S_ISREG(os.fstat(fresh).st_mode) and not os.path.samestat(os.fstat(fresh), old):
            os.dup2(fresh, descriptor)
    finally:
        os.close(fresh)
