"""`python -m tests.bench`: the whole comparison, its tables, results.json and results.svg."""

import argparse
import os
import platform
import signal
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import Progress

from tests.bench.bulk import measure_bulk
from tests.bench.environment import Stage, set_up, start_origin
from tests.bench.load import Load, Sample, measure
from tests.bench.machine import BenchError, Cores, Process
from tests.bench.picture import draw
from tests.bench.results import PLAIN, Figures, Results, middle, show, write_json
from tests.bench.rivals import LABELS, Rival, start_all
from tests.bench.scale import measure_crowd, measure_pair


class Plan(NamedTuple):
    """How much is measured. `parts` are of "rivals", "bulk", "crowd" and "pair"."""

    rivals: list[str]
    parts: list[str]
    rounds: int
    seconds: int
    tries: int
    connections: tuple[int, ...]
    bodies: tuple[int, ...]  # bytes of the POSTs that are measured, too
    bulk_bytes: int
    tenants: int
    compiled: Path | None = None


_PARTS = ["rivals", "bulk", "crowd", "pair"]
_BODIES = (1024, 65536)
FULL = Plan(list(LABELS), _PARTS, 3, 4, 3, (1, 32, 256), _BODIES, 2**30, 10_000)
QUICK = Plan(list(LABELS), _PARTS, 1, 1, 1, (1, 32), _BODIES, 2**26, 200)


def main() -> int:
    """Runs what the arguments ask for; 1 if that was not possible."""
    arguments = _arguments()
    plan = QUICK if arguments.quick else FULL
    plan = plan._replace(
        rivals=arguments.rivals or plan.rivals,
        parts=arguments.parts or plan.parts,
        rounds=arguments.rounds or plan.rounds,
        seconds=arguments.seconds or plan.seconds,
        connections=tuple(arguments.connections or plan.connections),
        bodies=plan.bodies if arguments.bodies is None else tuple(arguments.bodies),
        compiled=arguments.compiled,
    )
    console = Console(width=None if sys.stdout.isatty() else 160)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
            results = run(plan, Path(folder), console)
    except BenchError as error:
        console.print(f"[red]The benchmark could not be finished:[/] {error}", markup=True)
        return 1
    except KeyboardInterrupt:
        return 1
    show(results, console)
    if not results.rivals:  # part of a run must not take a whole one's place
        return 0
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(results, arguments.out / "results.json")
    draw(results, arguments.out / "results.svg")
    console.print(f"Written: {arguments.out}/results.json, results.svg")
    return 0


def run(plan: Plan, folder: Path, console: Console) -> Results:
    """Measures all that the plan has. Raises BenchError. Leaves no process behind."""
    with ExitStack() as stack:
        stage = set_up(folder, Cores.available(), plan.compiled)
        origin = start_origin(stage)
        stack.callback(origin.stop)
        load = Load(32, plan.seconds, plan.tries)
        rivals: dict[str, Figures] = {}
        if "rivals" in plan.parts:
            rivals = _compare(stage, plan, console)
        bulk, crowd, pair = {}, None, None
        if "bulk" in plan.parts:
            console.print(f"{plan.bulk_bytes / 2**20:.0f} MiB each way …")
            bulk = measure_bulk(stage, plan.bulk_bytes)
        if "crowd" in plan.parts:
            console.print(f"{plan.tenants} tenants and callers …")
            crowd = measure_crowd(stage, plan.tenants, load, plan.rounds)
        if "pair" in plan.parts:
            console.print("two processes on one port …")
            pair = measure_pair(stage, load, plan.rounds)
    return Results(_about(plan, stage.cores), rivals, bulk, crowd, pair)


def _compare(stage: Stage, plan: Plan, console: Console) -> dict[str, Figures]:
    """All rivals in turn, round after round, so that a noisy minute harms none of them alone."""
    with ExitStack() as stack:

        def running(process: Process) -> Process:
            stack.callback(process.stop)
            return process

        rivals = start_all(stage, plan.rivals, running)
        idle = {rival.name: rival.process.usage().resident for rival in rivals}
        samples: dict[tuple[str, Load], list[Sample]] = {}
        loads = [Load(count, plan.seconds, plan.tries) for count in plan.connections]
        loads += [Load(PLAIN, plan.seconds, plan.tries, body=body) for body in plan.bodies]
        steps = plan.rounds * len(loads) * len(rivals)
        progress = stack.enter_context(Progress(console=console, transient=True))
        task = progress.add_task("warm-up", total=steps)
        for rival in rivals if plan.tries > 1 else ():
            measure(rival, Load(32, 1, 1), stage.cores)
        for _ in range(plan.rounds):
            for load in loads:
                for rival in rivals:
                    progress.update(task, description=f"{rival.name} × {load.connections}")
                    try:
                        sample = measure(rival, load, stage.cores)
                        samples.setdefault((rival.name, load), []).append(sample)
                    except BenchError as error:  # a rival that cannot cope is a result, too
                        if rival.name.startswith("gateway"):
                            raise
                        console.print(f"[yellow]{error}[/]")
                    progress.advance(task)
        return {rival.name: _figures(rival, samples, idle[rival.name]) for rival in rivals}


def _figures(rival: Rival, samples: dict[tuple[str, Load], list[Sample]], idle: int) -> Figures:
    found = {load: middle(those) for (name, load), those in samples.items() if name == rival.name}
    return Figures(
        {load.connections: sample for load, sample in found.items() if not load.body},
        {load.body: sample for load, sample in found.items() if load.body},
        idle,
        rival.process.usage().resident,
    )


def _about(plan: Plan, cores: Cores) -> dict[str, Any]:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((x.partition(":")[2].strip() for x in info if x.startswith("model name")), "?")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{model}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "rival_cores": list(cores.rivals),
        "load_core": cores.load,
        "bulk_bytes": plan.bulk_bytes,
        "tenants": plan.tenants,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test: figures are rough")
    parser.add_argument("--rivals", nargs="+", choices=list(LABELS), help="only these")
    parser.add_argument("--parts", nargs="+", choices=FULL.parts, help="only these")
    parser.add_argument("--rounds", type=int, help=f"default {FULL.rounds}")
    parser.add_argument("--seconds", type=int, help=f"per measurement; default {FULL.seconds}")
    parser.add_argument("--connections", nargs="+", type=int, help="default 1, 32 and 256")
    parser.add_argument("--bodies", nargs="*", type=int, help="of POSTs; default 1024 and 65536")
    parser.add_argument(
        "--compiled",
        type=Path,
        metavar="PYTHON",
        help="a Python that has the compiled gateway, such as `.ci/compiled` makes: measured, too",
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="where the results go"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
