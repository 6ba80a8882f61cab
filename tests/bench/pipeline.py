"""`python -m tests.bench.pipeline`: what one request costs inside the gateway, in instructions.

Counted by `valgrind --tool=callgrind`, which no other load on the machine disturbs; without it in
microseconds, the best of many rounds. Exits 1 if a figure is 5 % above the stored baseline of the
form that is measured: plain Python, or compiled if such a wheel is what is installed.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from gateway import is_compiled
from gateway.observe import writer
from tests.bench.inside import Inside

TOLERANCE: Final = 0.05
BASELINE: Final = Path(__file__).with_name("pipeline.json")
_WARM_UP: Final = 200
_COUNTED: Final = 500
_TIMED: Final = 2000
_ROUNDS: Final = 15
_COLLECTED: Final = re.compile(r"Collected : (\d+)")
_CHILD_SECONDS: Final = 600


def main() -> int:
    """Measures, compares with the baseline, and stores a new one if asked to."""
    arguments = _arguments()
    if arguments.count:
        uvloop.run(_counted_drive(arguments.count, told=not arguments.untold))
        return 0
    unit = "µs" if arguments.time or not can_count() else "instructions"
    figures = uvloop.run(_timed()) if unit == "µs" else _count()
    where = f"Python {platform.python_version()}, {platform.machine()}"
    stored = _stored(unit, where)
    console = Console()
    table = Table("one request", unit, "baseline", "change")
    worse = False
    for name, value in figures.items():
        before = stored.get(name)
        change = value / before - 1 if before else 0.0
        worse |= change > TOLERANCE
        shown = f"{change:+.1%}" if before else "–"
        table.add_row(name, f"{value:,.0f}", f"{before:,.0f}" if before else "–", shown)
    console.print(table)
    if arguments.store:
        others = _document(unit, where)
        document = {"unit": unit, "where": where, "figures": {**others, _form(): figures}}
        BASELINE.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    elif worse:
        console.print(f"[red]More than {TOLERANCE:.0%} above the baseline.[/]")
    elif not stored:
        console.print("No baseline for this machine: store one with --store.")
    return int(worse and not arguments.store)


def _stored(unit: str, where: str) -> dict[str, float]:
    """The baseline's figures, if they can be compared: same unit, same Python, same form."""
    return _document(unit, where).get(_form(), {})


def _document(unit: str, where: str) -> dict[str, dict[str, float]]:
    """The baseline's figures of all forms."""
    if not BASELINE.exists():
        return {}
    document = json.loads(BASELINE.read_text())
    comparable = document["unit"] == unit and document["where"] == where
    return dict(document["figures"]) if comparable else {}


def _form() -> str:
    return "compiled" if is_compiled() else "plain"


def can_count() -> bool:
    """Whether valgrind is there."""
    return all(shutil.which(name) for name in ("valgrind", "callgrind_control"))


async def _timed() -> dict[str, float]:
    """Microseconds of CPU time a request: the best round is the least disturbed one."""
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, float] = {}
        for name, drive in (await Inside(Path(folder)).drives()).items():
            await drive(_WARM_UP)
            rounds: list[float] = []
            for _ in range(_ROUNDS):
                began = time.process_time()
                await drive(_TIMED)
                rounds.append((time.process_time() - began) / _TIMED * 1e6)
            figures[name] = min(rounds)
        return figures


def _count() -> dict[str, float]:
    """Instructions a request: each drive in a process of its own, counted behind its warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        names = list(uvloop.run(_names(Path(folder))))
        return {name: instructions(Path(folder), name) for name in names}


async def _names(folder: Path) -> list[str]:
    return list(await Inside(folder).drives())


def instructions(folder: Path, name: str, *more: str) -> float:
    """Instructions that one request of a drive takes; `more` are arguments for the child."""
    command = (
        *("valgrind", "--tool=callgrind", "--instr-atstart=no"),
        *(f"--callgrind-out-file={folder}/callgrind.out", sys.executable),
        *("-m", "tests.bench.pipeline", "--count", name, *more),
    )
    # The same hashes in each run; and valgrind does not know io_uring.
    environ = {**os.environ, "PYTHONHASHSEED": "0", "UV_USE_IO_URING": "0"}
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        timeout=_CHILD_SECONDS,
        check=False,
    )
    found = _COLLECTED.search(done.stdout)
    if found is None or done.returncode:
        raise RuntimeError(f"callgrind did not count {name}:\n{done.stdout[-3000:]}")
    return int(found[1]) / _COUNTED


async def _counted_drive(name: str, *, told: bool) -> None:
    """In the child: serves under callgrind, which counts only what comes behind the warm-up."""
    # Valgrind is 50 to 100 times slower: about as many lines a batch as a busy gateway has.
    writer.BATCH_SECONDS = 50 * writer.BATCH_SECONDS
    with tempfile.TemporaryDirectory() as folder:
        drive = (await Inside(Path(folder), told=told).drives())[name]
        await drive(_WARM_UP)
        _instrument("on")
        await drive(_COUNTED)
        _instrument("off")


def _instrument(state: str) -> None:
    subprocess.run(
        ("callgrind_control", "-i", state, str(os.getpid())),
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pipeline", description=__doc__)
    parser.add_argument("--store", action="store_true", help="make this run the baseline")
    parser.add_argument("--time", action="store_true", help="microseconds, also with valgrind")
    parser.add_argument("--count", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--untold", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
