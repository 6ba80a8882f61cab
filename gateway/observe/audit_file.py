"""An append-only file that a thread of its own writes: all lines that wait go in one write.

Nobody waits for the disk except on request. No line is torn, and none is lost, unless the file
cannot be written until more than `LIMIT` bytes wait; that is logged at once.
"""

import asyncio
import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from gateway.events import Level

BATCH_SECONDS: Final = 0.02  # how long a line may wait for others, unless somebody waits for it
LIMIT: Final = 8 * 1024 * 1024  # bytes waiting at most; later lines are dropped and counted
RETRY_SECONDS: Final = 0.5  # until a file that could not be written is tried again
PATIENCE: Final = 5.0  # seconds that a request waits for a disk that hangs

_NEWLINE: Final = ord("\n")
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

Log = Callable[[Level, str, dict[str, Any]], None]
Waiter = asyncio.Future[bool]


def open_append(path: Path, *, create: bool = True) -> int:
    """A descriptor to append to the file, which is made with mode 0600. Raises `OSError`.

    What is not a regular file, or can be written by everyone, is refused: it would prove nothing.
    One that everyone may read is closed to them, or refused where it belongs to someone else.
    """
    descriptor = os.open(path, _FLAGS | (os.O_CREAT if create else 0), 0o600)
    try:
        reason = _refusal(descriptor, close_to_others=create)
    except OSError:
        os.close(descriptor)
        raise
    if reason:
        os.close(descriptor)
        raise PermissionError(reason)
    return descriptor


def _refusal(descriptor: int, *, close_to_others: bool) -> str:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_mode & stat.S_IWOTH:
        return "everyone may write to it"
    if status.st_mode & stat.S_IROTH:
        if os.geteuid() not in (0, status.st_uid):
            return "everyone may read it"
        if close_to_others:
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~stat.S_IRWXO)
    return ""


class AuditFile:
    """Lines for one file. If it is renamed or removed (logrotate), a new one is made at its path.

    `log` is called, from the thread, when the file cannot be written and when it can again.
    """

    def __init__(self, path: Path, log: Log) -> None:
        self._path = path
        self._log = log
        self._file = _open(path)
        self._lock = threading.Lock()
        # One block, not the lines: each would keep several KiB that the JSON library reserved.
        self._lines = bytearray()
        self._waiters: list[Waiter] = []
        # The thread's: taken, and not written.
        self._rest = bytearray(b"\n" if _torn(self._file) else b"")
        self._whole = True  # the last byte written ended a line
        self._awake = threading.Event()
        self._urgent = threading.Event()
        self._closing = threading.Event()
        self.failing = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="audit-writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queues one line, newline included. Never blocks."""
        with self._lock:
            queued = self._queue(line)
        if not queued and self.dropped == 1:
            self._log("error", "audit_lines_lost", {"file": str(self._path)})
        if not self._awake.is_set():
            self._awake.set()

    async def written(self, line: bytes) -> bool:
        """Whether the line, and all before it, is on disk; false as soon as it cannot be.

        A line that was not written in time may still be written later.
        """
        waiter: Waiter = asyncio.get_running_loop().create_future()
        with self._lock:
            if self.failing or not self._queue(line):
                return False
            self._waiters.append(waiter)
        self._awake.set()
        self._urgent.set()
        try:
            async with asyncio.timeout(PATIENCE):
                return await waiter
        except TimeoutError:
            return False

    def reopen(self) -> None:
        """Looks now whether the file has been renamed or removed, not only with the next line."""
        self._awake.set()

    def trouble(self) -> str:
        """What is wrong, in a few words; "" if nothing is."""
        if self.failing:
            return "the audit log cannot be written"
        return f"{self.dropped} lines of the audit log are lost" if self.dropped else ""

    def close(self, timeout: float = 2.0) -> None:
        """Writes what is waiting, for at most `timeout` seconds."""
        self._closing.set()
        self._awake.set()
        self._urgent.set()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            os.close(self._file)

    def _queue(self, line: bytes) -> bool:
        if len(self._lines) + len(self._rest) > LIMIT:
            self.dropped += 1
            return False
        self._lines += line
        return True

    # In the thread

    def _run(self) -> None:
        while True:
            self._awake.wait()
            self._urgent.wait(BATCH_SECONDS)
            self._awake.clear()
            self._urgent.clear()
            waiters = self._take()
            try:
                self._append(durably=bool(waiters))
            except OSError as error:
                self._failed(error)
                _answer(waiters, on_disk=False)
                if self._closing.wait(RETRY_SECONDS):
                    return
                self._awake.set()
            else:
                self._succeeded()
                _answer(waiters, on_disk=True)
                if self._closing.is_set() and not self._lines:
                    return

    def _take(self) -> list[Waiter]:
        with self._lock:
            self._rest += self._lines
            self._lines = bytearray()
            waiters, self._waiters = self._waiters, []
        return waiters

    def _append(self, *, durably: bool) -> None:
        if self._whole:
            self._follow()
        rest, done = self._rest, 0
        try:
            while done < len(rest):
                with memoryview(rest)[done:] as left:
                    done += os.write(self._file, left)
                self._whole = rest[done - 1] == _NEWLINE
        except OSError:
            del rest[:done]
            raise
        if durably:
            # If it fails, some of it may be lost, and a second call would not say so: all of it is
            # written again.
            os.fdatasync(self._file)
        rest.clear()

    def _follow(self) -> None:
        """Goes on in a new file if the path no longer leads to this one."""
        with suppress(FileNotFoundError):
            if os.path.samestat(self._path.lstat(), os.fstat(self._file)):
                return
        fresh = _open(self._path)
        os.close(self._file)
        self._file = fresh

    def _failed(self, error: OSError) -> None:
        if not self.failing:
            self.failing = True
            reason = os.strerror(error.errno) if error.errno else str(error)
            self._log("error", "audit_failed", {"file": str(self._path), "reason": reason})

    def _succeeded(self) -> None:
        if self.failing:
            self.failing = False
            fields = {"file": str(self._path), "lines_lost": self.dropped}
            self._log("warning", "audit_recovered", fields)


def _open(path: Path) -> int:
    """The file; a new one is made so that it survives a loss of power."""
    descriptor = open_append(path)
    if os.fstat(descriptor).st_size == 0:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return descriptor


def _torn(descriptor: int) -> bool:
    """Whether the file's last line is cut short: its writer was killed, or the disk was full."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def _answer(waiters: list[Waiter], *, on_disk: bool) -> None:
    if waiters:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            waiters[0].get_loop().call_soon_threadsafe(_settle, waiters, on_disk)


def _settle(waiters: list[Waiter], on_disk: bool) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(on_disk)
