"""One measurement: wrk against a rival for some seconds, and what that cost the rival.

Rule: a figure from a run with failed requests is none: that run is made again, then given up.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench.machine import BenchError, Cores, Process, busy_seconds
from tests.bench.requests import write_script
from tests.bench.rivals import Rival

_TRIES: Final = 3
# What others may take of the rival's cores before a measurement is made again, as a share.
_QUIET: Final = 0.10
_UNITS: Final = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6}
_LATENCY: Final = re.compile(r"^\s+(50|99)%\s+([0-9.]+)(us|ms|s|m)\s*$", re.MULTILINE)
_RATE: Final = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.MULTILINE)
_COUNT: Final = re.compile(r"^\s+([0-9]+) requests in ", re.MULTILINE)
_FAILED: Final = re.compile(r"^\s*(Non-2xx.*|Socket errors: .*)$", re.MULTILINE)


class Report(NamedTuple):
    """What wrk saw. Latencies are microseconds; `failed` is its complaint, or ""."""

    requests: int
    per_second: float
    p50: float
    p99: float
    failed: str


class Sample(NamedTuple):
    """One measurement: CPU microseconds per request, and what wrk saw.

    `noise` is the share of the rival's cores that others took meanwhile.
    """

    cpu: float
    per_second: float
    p50: float
    p99: float
    noise: float


class Load(NamedTuple):
    """How hard to ask: connections kept busy, for how many seconds, with bodies of `body` bytes.

    At most `tries` measurements are made in the hope of a quiet one. A `script` takes the place of
    the rival's own requests.
    """

    connections: int
    seconds: int
    tries: int = _TRIES
    script: Path | None = None
    body: int = 0


def parse_report(text: str) -> Report:
    """Reads what `wrk --latency` printed. Raises BenchError for anything else."""
    latency = {match[1]: float(match[2]) * _UNITS[match[3]] for match in _LATENCY.finditer(text)}
    rate, count = _RATE.search(text), _COUNT.search(text)
    if rate is None or count is None or latency.keys() != {"50", "99"}:
        raise BenchError(f"wrk did not report:\n{text}")
    failed = _FAILED.search(text)
    return Report(
        int(count[1]),
        float(rate[1]),
        latency["50"],
        latency["99"],
        failed[1] if failed else "",
    )


def measure(rival: Rival, load: Load, cores: Cores) -> Sample:
    """The quietest of a few measurements; the first, if that was quiet enough."""
    samples: list[Sample] = []
    for _ in range(load.tries):
        samples.append(_lawful(rival, [rival.process], load, cores))
        if samples[-1].noise <= _QUIET:
            break
    return min(samples, key=lambda sample: sample.noise)


def measure_group(rival: Rival, processes: Sequence[Process], load: Load, cores: Cores) -> Sample:
    """The same for several processes behind one port, whose cost is added up."""
    return _lawful(rival, processes, load, cores)


def _lawful(rival: Rival, processes: Sequence[Process], load: Load, cores: Cores) -> Sample:
    complaint = ""
    for _ in range(_TRIES):
        cpu, busy = _cpu(processes), busy_seconds(cores.rivals)
        report = parse_report(_wrk(rival, load, cores))
        cpu, busy = _cpu(processes) - cpu, busy_seconds(cores.rivals) - busy
        for process in processes:
            process.settle()
        if report.requests and not report.failed:
            noise = max(0.0, busy - cpu) / (load.seconds * len(cores.rivals))
            each = cpu / report.requests * 1e6
            return Sample(each, report.per_second, report.p50, report.p99, noise)
        complaint = report.failed or "no request was answered"
        load = load._replace(seconds=load.seconds * 2)  # a slow one may just have had to connect
    raise BenchError(f"{rival.name}, {load.connections} connections: {complaint}")


def request_count(rival: Rival, load: Load, cores: Cores) -> int:
    """Puts the load on a rival, and counts the requests that were answered."""
    report = parse_report(_wrk(rival, load, cores))
    if report.failed:
        raise BenchError(f"{rival.name}: {report.failed}")
    return report.requests


def _cpu(processes: Sequence[Process]) -> float:
    return sum(process.usage().cpu for process in processes)


def _wrk(rival: Rival, load: Load, cores: Cores) -> str:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BenchError("wrk is not installed (Debian: apt install wrk)")
    script = load.script or _script_of(rival, load.body)
    command = [
        *("taskset", "-c", str(cores.load), wrk, "--latency", "-t1", f"-c{load.connections}"),
        *(f"-d{load.seconds}s", "--timeout", "60s", "-s", str(script)),
        f"http://127.0.0.1:{rival.port}/",
    ]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=load.seconds + 60,
        check=False,
    )
    return done.stdout


def _script_of(rival: Rival, body: int) -> Path:
    """Beside the rival's output, where it goes with everything else of this run."""
    path = rival.process.output.with_name(f"{rival.name}-{body}.lua")
    return path if path.exists() else write_script(path, [rival.token], body)
