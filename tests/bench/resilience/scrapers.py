"""What callers feel of scrapers: 16 at once, of some 9,000 series, without a pause.

`python -m tests.bench.resilience.scrapers [--seconds 8]`; needs nginx and wrk. One caller's 8
connections, which send 500 requests/s in all, are measured by turns alone and among the scrapers,
which are a process of their own on the load's core and give way to it: what the callers feel is the
gateway's doing, and not that they share an interpreter or a core with those who read the bodies.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple, Self

from gateway.identity.tokens import hash_token
from tests.bench.environment import PATH, TOKEN, set_up, start_origin
from tests.bench.load import Load, measure
from tests.bench.machine import BenchError, Cores, Process
from tests.bench.requests import write_script
from tests.bench.rivals import Rival, start_gateway, write_vault

SCRAPERS: Final = 16
TENANTS: Final = 3_000  # each with a caller: three series each
_ROUNDS: Final = 3
_CALLERS: Final = 8
_BEGINS: Final = 2.0  # seconds until the scrapers are under way
_PACE: Final = 0.016  # seconds between the requests of one


class Felt(NamedTuple):
    """Microseconds of callers' requests, p50 and p99, alone and among scrapers; what those got."""

    alone: tuple[float, float]
    among: tuple[float, float]
    scrapes: int
    series: int


def scrape_without_pause(url: str) -> None:
    """Until standard input ends; then prints how often, and how many series there were."""
    done, lock = threading.Event(), threading.Lock()
    scrapes = series = 0

    def scrape() -> None:
        nonlocal scrapes, series
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while not done.is_set():
            with opener.open(url, timeout=30) as reply:
                body = reply.read()
            with lock:
                scrapes, series = scrapes + 1, body.count(b"\ninvopop_gateway_")

    threads = [threading.Thread(target=scrape) for _ in range(SCRAPERS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    done.set()
    for thread in threads:
        thread.join()
    sys.stdout.write(f"{scrapes} {series}\n")


class Scrapers:
    """A process that scrapes from entering to leaving."""

    def __init__(self, url: str, core: int) -> None:
        module = "tests.bench.resilience.scrapers"
        pinned = ("taskset", "-c", str(core), "nice", "-n", "19")
        self._command = (*pinned, sys.executable, "-m", module, "--scrape", url)
        self.scrapes = self.series = 0

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)
        time.sleep(_BEGINS)
        return self

    def __exit__(self, *_: object) -> None:
        said, _error = self._process.communicate()
        self.scrapes, self.series = map(int, said.split())


def measure_scrapers(folder: Path, seconds: int) -> Felt:
    """A gateway that has met every tenant once, and its callers by turns with and without."""
    with ExitStack() as stack:
        stage = set_up(folder, Cores.available())
        origin = start_origin(stage)
        stack.callback(origin.stop)
        tokens = {f"tenant-{n:05}": f"igw_bench-token-of-tenant-{n:05}" for n in range(TENANTS)}
        keys = {"acme": "key-of-acme", **{name: f"key-of-{name}" for name in tokens}}
        write_vault(stage.folder / "vault-scraped.toml", keys)
        callers = "\n".join(
            f'[callers.{name}]\ntokens = ["{hash_token(token)}"]\ntenants = ["{name}"]\n'
            for name, token in tokens.items()
        )
        process, port = start_gateway(stage, "scraped", more=callers)
        stack.callback(process.stop)
        script = write_script(stage.folder / "scraped.lua", list(tokens.values()))
        measure(Rival("every tenant", process, port, ""), Load(32, 10, 1, script), stage.cores)
        alone: list[tuple[float, float]] = []
        among: list[tuple[float, float]] = []
        scrapes = series = 0
        for _ in range(_ROUNDS):
            alone.append(paced(port, seconds))
            with Scrapers(_admin_url(process), stage.cores.load) as scrapers:
                among.append(paced(port, seconds))
            scrapes, series = scrapes + scrapers.scrapes, scrapers.series
        return Felt(_middle(alone), _middle(among), scrapes, series)


def _admin_url(process: Process) -> str:
    for line in process.output.read_text().splitlines():
        if '"listener":"admin"' in line:
            return f"{json.loads(line)['url']}/metrics"
    raise BenchError("no admin listener")


def paced(port: int, seconds: float) -> tuple[float, float]:
    """The p50 and p99 of callers that do not saturate the gateway, in microseconds."""
    took: list[float] = []

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        due = time.monotonic() + number * _PACE / _CALLERS
        ends = due + seconds
        while due < ends:
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.perf_counter()
            connection.request("GET", PATH, headers={"Authorization": f"Bearer {TOKEN}"})
            connection.getresponse().read()
            took.append((time.perf_counter() - began) * 1e6)
            due = max(due + _PACE, time.monotonic())
        connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    percentiles = statistics.quantiles(took, n=100)
    return percentiles[49], percentiles[98]


def _middle(samples: list[tuple[float, float]]) -> tuple[float, float]:
    return (
        statistics.median(p50 for p50, _ in samples),
        statistics.median(p99 for _, p99 in samples),
    )


def main() -> int:
    """Measures, and prints two lines; 1 if it could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement; default 8")
    parser.add_argument("--scrape", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scrape:
        scrape_without_pause(options.scrape)
        return 0
    seconds = options.seconds
    try:
        with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
            felt = measure_scrapers(Path(folder), seconds)
    except BenchError as error:
        sys.stderr.write(f"The benchmark could not be finished: {error}\n")
        return 1
    for name, (p50, p99) in (("alone", felt.alone), ("among scrapers", felt.among)):
        sys.stdout.write(f"{name}: p50 {p50:,.0f} µs, p99 {p99:,.0f} µs\n")
    sys.stdout.write(f"{SCRAPERS} scrapers, {felt.series:,} series, {felt.scrapes} scrapes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
