"""`python -m tests.bench.system_calls`: how often each program asks the kernel, per request.

Counted by `strace -c -f`, which makes all of them slower: these are counts, not times.
"""

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench.environment import set_up, start_origin
from tests.bench.load import Load, request_count
from tests.bench.machine import BenchError, Cores, Process
from tests.bench.rivals import LABELS, Rival, start_all

RIVALS: Final = ("gateway-jwt", "envoy-jwt-cached", "nginx")
_ROW: Final = re.compile(
    r"^\s*[0-9.]+\s+[0-9.]+\s+[0-9]+\s+([0-9]+)\s+(?:[0-9]+\s+)?(\w+)$", re.MULTILINE
)
_ATTACH_SECONDS: Final = 1.0
_RARE: Final = 0.005  # a call that is made less often per request is not shown


def main() -> int:
    """Counts with each number of connections and prints one table for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.system_calls", description=__doc__)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    console = Console()
    try:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            stage = set_up(Path(folder), Cores.available())
            stack.callback(start_origin(stage).stop)
            rivals = start_all(stage, list(RIVALS), lambda p: _stopped_by(stack, p))
            for connections in arguments.connections:
                load = Load(connections, arguments.seconds)
                counted = {one.name: _counted(one, load, stage.cores) for one in rivals}
                console.print(_table(connections, counted))
    except BenchError as error:
        console.print(f"[red]{error}[/]")
        return 1
    return 0


def _counted(rival: Rival, load: Load, cores: Cores) -> dict[str, float]:
    """How often each call is made per request, once connections are open."""
    strace = shutil.which("strace")
    if strace is None:
        raise BenchError("strace is not installed (Debian: apt install strace)")
    request_count(rival, load, cores)
    tracer = subprocess.Popen(
        (strace, "-c", "-f", "-p", str(rival.process.pid)), stderr=subprocess.PIPE, text=True
    )
    time.sleep(_ATTACH_SECONDS)
    requests = request_count(rival, load, cores)
    tracer.send_signal(signal.SIGINT)
    _, report = tracer.communicate(timeout=30)
    return {name: int(count) / requests for count, name in _ROW.findall(report) if name != "total"}


def _table(connections: int, counted: dict[str, dict[str, float]]) -> Table:
    table = Table(
        f"{connections} connections", *(LABELS[name].partition(":")[0] for name in counted)
    )
    names = {name for calls in counted.values() for name, often in calls.items() if often > _RARE}
    for name in sorted(
        names, key=lambda one: -max(calls.get(one, 0) for calls in counted.values())
    ):
        table.add_row(name, *(f"{calls.get(name, 0):.2f}" for calls in counted.values()))
    table.add_row("all", *(f"{sum(calls.values()):.2f}" for calls in counted.values()))
    return table


def _stopped_by(stack: ExitStack, process: Process) -> Process:
    stack.callback(process.stop)
    return process


if __name__ == "__main__":
    sys.exit(main())
