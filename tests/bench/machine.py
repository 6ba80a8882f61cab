"""What runs where: processes on chosen cores, what they cost, and that none outlives the run.

Rule: knows nothing of HTTP or of what is compared. Linux only: it reads /proc.
"""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_SETTLE_SECONDS: Final = 20.0
_SETTLE_STEP: Final = 0.1
_IDLE_SHARE: Final = 0.15


class BenchError(Exception):
    """The benchmark cannot be run, or a figure would not be worth anything; says why."""


class Cores(NamedTuple):
    """`rival` cores run what is measured, `load` the origin and the load generator."""

    rivals: tuple[int, ...]
    load: int

    @classmethod
    def available(cls) -> "Cores":
        """The last core for the load, the others for what is measured. One core serves both."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(tuple(cores[:-1] or cores), cores[-1])


class Usage(NamedTuple):
    """What processes have used since they began: CPU seconds; and hold now: resident bytes."""

    cpu: float
    resident: int


class Process:
    """A child process pinned to one core, its output in a file; gone when this process is."""

    def __init__(
        self,
        command: Sequence[str],
        core: int,
        output: Path,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = Path(command[0]).name
        self.output = output
        libc = ctypes.CDLL(None)

        def prepare() -> None:
            os.sched_setaffinity(0, {core})
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

        with output.open("wb") as sink:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})},
                preexec_fn=prepare,  # noqa: PLW1509 - no thread has been started
            )
        self.pid = self._popen.pid

    def usage(self) -> Usage:
        """Its own and its children's."""
        cpu, resident = 0.0, 0
        for pid in _family(self.pid):
            fields = _stat(pid)
            if fields:
                cpu += (int(fields[11]) + int(fields[12])) * _TICK
                resident += int(fields[21]) * _PAGE
        return Usage(cpu, resident)

    def wait_for(self, ready: Callable[[], bool], seconds: float = _START_SECONDS) -> None:
        """Returns once `ready`. Raises BenchError, with the end of its output, if it never is."""
        end = time.monotonic() + seconds
        while not ready():
            if self._popen.poll() is not None or time.monotonic() > end:
                said = self.output.read_text(errors="replace")[-2000:]
                raise BenchError(f"{self.name} did not start:\n{said}")
            time.sleep(0.02)

    def wait_for_port(self, port: int) -> None:
        """Returns once something listens there."""
        self.wait_for(lambda: _listens(port))

    def settle(self, seconds: float = _SETTLE_SECONDS) -> None:
        """Returns once it is idle: what it has not finished would be at the next one's cost."""
        end = time.monotonic() + seconds
        before, now = -1.0, self.usage().cpu
        while now - before > _IDLE_SHARE * _SETTLE_STEP and time.monotonic() < end:
            time.sleep(_SETTLE_STEP)
            before, now = now, self.usage().cpu

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not end it in time."""
        if self._popen.poll() is None:
            self._popen.terminate()
        try:
            self._popen.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def busy_seconds(cores: Sequence[int]) -> float:
    """CPU time that these cores have spent on anything, or that was stolen from them (proc(5))."""
    wanted = {f"cpu{core}" for core in cores}
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *times = line.split()
        if name in wanted:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, times[:8])
            total += user + nice + system + irq + softirq + steal
    return total * _TICK


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += _family(int(child))
    return found


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the process's name; none if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
