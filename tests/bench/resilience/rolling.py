"""SIGTERM under keep-alive load: callers that honour `Connection: close` lose no request.

`python -m tests.bench.resilience.rolling [--runs 20] [--rate 2000] [--delay 5]`
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from tests.bench.resilience.client import Address, Caller, LostError, Tally, request
from tests.bench.resilience.topology import TENANTS, Topology, fields_for, staged

_CALLERS: Final = 64


class Plan(NamedTuple):
    """How many restarts, at how many requests a second, with which `drain_delay` (seconds)."""

    runs: int
    rate: float
    delay: float


class Run(NamedTuple):
    """What one restart cost: outcomes of all requests meanwhile, and the exit code."""

    counts: dict[str, int]
    rate: float
    p99: float
    exit_code: int
    moved: bool

    @property
    def failed(self) -> int:
        """Requests that did not end in a whole 200."""
        return sum(count for outcome, count in self.counts.items() if outcome != "200")


async def measure(directory: Path, plan: Plan) -> list[Run]:
    """Restarts the two instances in turn, `plan.runs` times in all."""
    changes = {"listen": {"drain_delay": plan.delay}}
    async with staged(directory, 2, changes) as topology:
        return [await _restart(topology, plan, number % 2) for number in range(plan.runs)]


async def _restart(topology: Topology, plan: Plan, leaving: int) -> Run:
    tally, ends = Tally(), asyncio.Event()
    ports = [instance.process.port for instance in topology.instances]
    places = [_Places(ports, number % 2) for number in range(_CALLERS)]
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        pace = _CALLERS / plan.rate
        for number, place in enumerate(places):
            group.create_task(_keep_asking(place, TENANTS[number % 3], tally, (pace, ends)))
        await asyncio.sleep(1.0)
        code = await topology.instances[leaving].stop()
        await asyncio.sleep(0.3 + 2 * pace)
        moved = all(place.at == ports[1 - leaving] for place in places)
        ends.set()
    seconds = time.monotonic() - began
    await topology.instances[leaving].start()
    return Run(tally.counts, tally.total / seconds, tally.quantile(0.99), code, moved)


class _Places:
    """Where a caller connects: told to close, or refused, it goes to the other instance."""

    def __init__(self, ports: list[int], first: int) -> None:
        self._ports = ports
        self._next = first
        self.at = 0

    def __call__(self) -> Address:
        self.at = self._ports[self._next % 2]
        self._next += 1
        return "127.0.0.1", self.at


async def _keep_asking(
    place: _Places, tenant: str, tally: Tally, until: tuple[float, asyncio.Event]
) -> None:
    pace, ends = until
    caller, number, due = Caller(place), 0, time.monotonic()
    while not ends.is_set():
        due = max(due + pace, time.monotonic())  # who is late does not catch up in a burst
        await asyncio.sleep(due - time.monotonic())
        number += 1
        fields, began = fields_for(tenant, f"{id(place)}-{number}"), time.monotonic()
        method = ("GET", "POST")[number % 2]
        raw = request(method, "/silo/v1/entries", fields, b"{}" if method == "POST" else b"")
        try:
            tally.add(str((await caller.ask(raw)).status), began)
        except LostError as lost:
            tally.add(lost.kind)
    caller.leave()


def main() -> int:
    """Prints a line for each restart; 1 if a request failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.resilience.rolling")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2000.0)
    parser.add_argument("--delay", type=float, default=5.0)
    with tempfile.TemporaryDirectory() as directory:
        plan = Plan(**vars(parser.parse_args()))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runs = runner.run(measure(Path(directory), plan))
    for number, run in enumerate(runs, 1):
        sys.stdout.write(
            f"run {number:2}: {run.rate:6.0f} requests/s, p99 {run.p99 * 1000:6.1f} ms, "
            f"{run.failed} failed, exit {run.exit_code}, moved {run.moved}, {run.counts}\n"
        )
    lost = sum(run.failed for run in runs)
    total = sum(sum(run.counts.values()) for run in runs)
    sys.stdout.write(f"{len(runs)} restarts, {total} requests, {lost} lost\n")
    return int(bool(lost) or any(run.exit_code or not run.moved for run in runs))


if __name__ == "__main__":
    sys.exit(main())
