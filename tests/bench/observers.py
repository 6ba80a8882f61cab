"""`python -m tests.bench.observers`: what metrics and logs cost a request, with them and without.

Twice over: in CPU time over real sockets and TLS, by turns; and in instructions within the process
(callgrind), where no socket is paid for and each exchange has a turn of the event loop to itself,
so that the share is the highest that it can be. Exits 1 if the CPU time is more than a tenth.
"""

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.bench.environment import set_up, start_origin
from tests.bench.load import Load, measure
from tests.bench.machine import BenchError, Cores
from tests.bench.pipeline import can_count, instructions
from tests.bench.rivals import Rival, configure_gateway, run_gateway

LIMIT: Final = 0.10
_DRIVES: Final = ("whole GET, JWT", "whole POST 1 KiB, JWT")
_MODULES: Final = {"told": "gateway", "untold": "tests.bench.unobserved"}


class Cost(NamedTuple):
    """One request with and without metrics and logs, in the same unit."""

    told: float
    untold: float

    @property
    def share(self) -> float:
        """What they add to a request without them."""
        return self.told / self.untold - 1


def main() -> int:
    """Measures, and shows; 1 if it is too much, or could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.observers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="pairs of measurements; default 9")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement; default 3")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        counted = _counted()
        timed = _timed(arguments.rounds, arguments.seconds)
    except BenchError as error:
        console.print(f"[red]The benchmark could not be finished:[/] {error}")
        return 1
    table = Table("one request", "with", "without", "metrics and logs add")
    for name, cost in counted.items():
        row = (f"{cost.told:,.0f}", f"{cost.untold:,.0f}", f"{cost.share:.1%}")
        table.add_row(f"{name}, instructions", *row)
    row = (f"{timed.told:.1f}", f"{timed.untold:.1f}", f"{timed.share:.1%}")
    table.add_row("over sockets, 32 connections, µs of CPU", *row)
    console.print(table)
    return int(timed.share > LIMIT)


def _counted() -> dict[str, Cost]:
    if not can_count():
        raise BenchError("valgrind is not installed (Debian: apt install valgrind)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return {
            drive: Cost(instructions(folder, drive), instructions(folder, drive, "--untold"))
            for drive in _DRIVES
        }


def _timed(rounds: int, seconds: int) -> Cost:
    """Medians; both processes run all the time, and are asked one after the other."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder, ExitStack() as stack:
        stage = set_up(Path(folder), Cores.available())
        origin = start_origin(stage)
        stack.callback(origin.stop)
        rivals: dict[str, Rival] = {}
        for name, module in _MODULES.items():
            process, port = run_gateway(stage, configure_gateway(stage, name), module=module)
            stack.callback(process.stop)
            rivals[name] = Rival(name, process, port, stage.jwt)
            measure(rivals[name], Load(32, 1, 1), stage.cores)  # warm-up
        found: dict[str, list[float]] = {name: [] for name in rivals}
        for _ in range(rounds):
            for name, rival in rivals.items():
                found[name].append(measure(rival, Load(32, seconds), stage.cores).cpu)
    return Cost(statistics.median(found["told"]), statistics.median(found["untold"]))


if __name__ == "__main__":
    sys.exit(main())
