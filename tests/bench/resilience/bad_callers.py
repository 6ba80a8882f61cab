"""Good callers among bad ones: slow heads, idle connections, ten times too many requests.

`python -m tests.bench.resilience.bad_callers [--seconds 10]`; needs nginx, wrk and Envoy.
"""

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple, cast

import uvloop

from tests.bench.environment import PATH, Stage, set_up, start_origin
from tests.bench.machine import Cores, Process
from tests.bench.resilience.client import Caller, LostError, Tally, request
from tests.bench.rivals import Rival, start_all

_GOOD: Final = 20  # callers, each at ten requests a second
_PACE: Final = 0.1
_SLOW: Final = 1000
_IDLE: Final = 1000
_FLOOD: Final = 640  # connections that ask as fast as they are answered
RIVALS: Final = ("gateway-jwt", "envoy-jwt-cached")


class Case(NamedTuple):
    """What a rival's good callers met: share of whole 200s, and seconds."""

    rival: str
    what: str
    success: float
    p50: float
    p99: float
    asked: int
    still_open: int
    resident: int


async def measure(stage: Stage, rival: Rival, seconds: float) -> list[Case]:
    """The same callers alone, among slow heads, among idle connections, and under a flood."""
    return [
        await _case(rival, "alone", seconds, 0),
        await _among(rival, "1,000 slow heads", seconds, trickle=True),
        await _among(rival, "1,000 idle connections", seconds, trickle=False),
        await _flooded(stage, rival, seconds),
    ]


async def _case(rival: Rival, what: str, seconds: float, still_open: int) -> Case:
    tally, ends = Tally(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for _ in range(_GOOD):
            group.create_task(_good(rival, tally, ends))
    success = tally.counts.get("200", 0) / max(1, tally.total)
    resident = rival.process.usage().resident
    p50, p99 = tally.quantile(0.5), tally.quantile(0.99)
    return Case(rival.name, what, success, p50, p99, tally.total, still_open, resident)


async def _good(rival: Rival, tally: Tally, ends: float) -> None:
    """Every fifth request is made on a connection of its own."""
    caller, count = Caller(lambda: ("127.0.0.1", rival.port)), 0
    raw = request("GET", PATH, {"Authorization": f"Bearer {rival.token}"})
    due = time.monotonic()
    while time.monotonic() < ends:
        due = max(due + _PACE, time.monotonic())
        await asyncio.sleep(due - time.monotonic())
        count += 1
        began = time.monotonic()
        try:
            tally.add(str((await caller.ask(raw, 10)).status), began)
        except LostError as lost:
            tally.add(lost.kind, began)
        if not count % 5:
            caller.leave()
    caller.leave()


class _Bad(asyncio.Protocol):
    """A connection that says little or nothing; made anew by `_crowd` when it is closed."""

    closed = False
    begun = False

    def trickle(self) -> None:
        """One byte more of a head that never ends."""
        if not self.closed:
            self.transport.write(b"a" if self.begun else b"GET / HTTP/1.1\r\nX: ")
            self.begun = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True


@asynccontextmanager
async def _crowd(rival: Rival, count: int, *, trickle: bool) -> AsyncIterator[list[_Bad]]:
    """So many, kept up; with `trickle` each sends a byte of a head every half second."""
    loop = asyncio.get_running_loop()
    crowd: list[_Bad] = []

    async def connected() -> _Bad:
        with contextlib.suppress(OSError):
            _, bad = await loop.create_connection(_Bad, "127.0.0.1", rival.port)
            return bad
        bad = _Bad()
        bad.closed = True
        return bad

    async def keep_up() -> None:
        while True:
            for number, bad in enumerate(crowd):
                if bad.closed:
                    crowd[number] = await connected()
                if trickle:
                    crowd[number].trickle()
                if not number % 50:
                    await asyncio.sleep(0.02)

    crowd += [await connected() for _ in range(count)]
    task = loop.create_task(keep_up())
    try:
        yield crowd
    finally:
        task.cancel()
        for bad in crowd:
            if not bad.closed:
                bad.transport.abort()


async def _among(rival: Rival, what: str, seconds: float, *, trickle: bool) -> Case:
    async with _crowd(rival, _SLOW if trickle else _IDLE, trickle=trickle) as crowd:
        case = await _case(rival, what, seconds, 0)
        return case._replace(still_open=sum(not bad.closed for bad in crowd))


async def _flooded(stage: Stage, rival: Rival, seconds: float) -> Case:
    """As many connections as wrk keeps busy; each has ten times its share of what can be served."""
    command = [
        *("taskset", "-c", str(stage.cores.load), str(shutil.which("wrk"))),
        *("-t1", f"-c{_FLOOD}", f"-d{int(seconds) + 3}s", "--timeout", "10s"),
        *("-H", f"Authorization: Bearer {rival.token}"),
        f"http://127.0.0.1:{rival.port}{PATH}",
    ]
    flood = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    await asyncio.sleep(1)
    case = await _case(rival, f"{_FLOOD} connections that ask without a pause", seconds, _FLOOD)
    said, _ = await flood.communicate()
    rate = next((x for x in said.decode().splitlines() if "Requests/sec" in x), "")
    return case._replace(what=f"{case.what} ({rate.partition(':')[2].strip()} requests/s)")


def main() -> int:
    """Prints a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.resilience.bad_callers")
    parser.add_argument("--seconds", type=float, default=10.0)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stage = set_up(Path(folder), Cores.available())
        origin = start_origin(stage)
        stack.callback(origin.stop)

        def running(process: Process) -> Process:
            stack.callback(process.stop)
            return process

        rivals = start_all(stage, list(RIVALS), running)
        for rival in rivals:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                for case in runner.run(measure(stage, rival, seconds)):
                    sys.stdout.write(_line(case))
    return 0


def _line(case: Case) -> str:
    return (
        f"| {case.rival} | {case.what} | {case.success:.2%} of {case.asked} | "
        f"{case.p50 * 1000:.1f} | {case.p99 * 1000:.1f} | {case.still_open} | "
        f"{case.resident / 2**20:.0f} |\n"
    )


if __name__ == "__main__":
    sys.exit(main())
