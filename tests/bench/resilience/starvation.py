"""Good callers while another caller misbehaves, and while names resolve slowly or not at all.

`python -m tests.bench.resilience.starvation [--seconds 5] [--rounds 3] [--only WORD]` prints each
beside undisturbed runs just before it: the medians of the rounds. The crowd has the least priority,
as one on machines of its own would take no processor time from those who measure, and no more.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop

from tests.bench.resilience.client import Caller, LostError, Tally, request
from tests.bench.resilience.starving_crowd import FLOODS, KINDS
from tests.bench.resilience.topology import TENANTS, Instance, fields_for, settings_for
from tests.support.certificates import Authority
from tests.support.gateway import token_hash
from tests.support.jwt import Issuer
from tests.support.world import AUDIENCE, merged

_GOOD: Final = 20  # callers, each at ten requests a second
_PACE: Final = 0.1
_WARM: Final = 5.0  # seconds in which the crowd takes what it can get …
_SETTLES: Final = 60.0  # … and for how long it may fill the buffers on its way
_QUIET: Final = 0.03  # share of a core that the gateway takes once they are full
_BAD: Final = "igw_token-of-the-caller-that-misbehaves-0000"
_NAME: Final = "localhost"
_MAX_AGE: Final = "1.0"  # seconds until a connection is replaced: so look-ups are never long ago
_HANGS: Final = {"after": 40, "addresses": []}
_USUAL: Final[dict[str, Any]] = {"localhost": ["127.0.0.1"], "idp_test": []}
_LEAST_PRIORITY: Final = 19


class Case(NamedTuple):
    """What the good callers met: share of 200s, and seconds."""

    success: float
    p50: float
    p99: float


class Comparison(NamedTuple):
    """Medians of rounds; `success` is the least of all, and the `multiples` are those of p99."""

    what: str
    success: float
    alone: Case
    beside: Case
    multiples: list[float]


Disturbance = Callable[[], AbstractAsyncContextManager[object]]


class Place:
    """A gateway with its origin, and a name server that does as it is told."""

    def __init__(self, directory: Path, instance: Instance, issuer: Issuer) -> None:
        self.instance = instance
        self.issuer = issuer
        self._hosts = directory / "hosts.json"

    def name(self, **names: Any) -> None:
        """From now on these names, `_` for a dot, resolve so."""
        known = {name.replace("_", "."): found for name, found in names.items()}
        new = self._hosts.with_suffix(".new")
        new.write_text(json.dumps(known))
        new.replace(self._hosts)

    async def settle(self) -> None:
        """Returns once the gateway is nearly idle, or will not be."""
        ends = time.monotonic() + _SETTLES
        before = self._processor_time()
        while time.monotonic() < ends:
            await asyncio.sleep(2)
            now = self._processor_time()
            if now - before < 2 * _QUIET:
                return
            before = now

    def _processor_time(self) -> float:
        stat = Path(f"/proc/{self.instance.process.process.pid}/stat").read_text()
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def case(self, seconds: float) -> Case:
        """The good callers, for so long."""
        tally, ends = Tally(), time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for _ in range(_GOOD):
                group.create_task(self._good(tally, ends))
        success = tally.counts.get("200", 0) / max(1, tally.total)
        return Case(success, tally.quantile(0.5), tally.quantile(0.99))

    async def _good(self, tally: Tally, ends: float) -> None:
        caller = Caller(lambda: ("127.0.0.1", self.instance.process.port))
        raw, due = request("GET", "/x", fields_for(TENANTS[0], "1")), time.monotonic()
        while time.monotonic() < ends:
            due = max(due + _PACE, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            began = time.monotonic()
            try:
                tally.add(str((await caller.ask(raw, 10)).status), began)
            except LostError as lost:
                tally.add(lost.kind, began)
        caller.leave()


def _settings(port: int, authority: Authority, directory: Path) -> dict[str, Any]:
    """The defaults, with one caller more, and an issuer whose name hangs."""
    issuer = {
        "issuer": "https://idp.test",
        "audience": AUDIENCE,
        "algorithms": ["RS256"],
        "jwks_url": "https://idp.test/jwks",
    }
    bad = {"tokens": [token_hash(_BAD)], "tenants": list(TENANTS)}
    shared: Mapping[str, Any] = {
        "upstream": {"read_timeout": 75.0, "connect_timeout": 5.0},
        "issuers": [issuer],
        "callers": {"bad": bad},
    }
    return merged(settings_for(port, authority.ca_file), shared)


@asynccontextmanager
async def _process(*arguments: str, nice: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
    module = "tests.bench.resilience.starving_crowd"
    process = await asyncio.create_subprocess_exec(
        *("nice", "-n", str(nice), sys.executable, "-m", module, *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@asynccontextmanager
async def _placed(directory: Path) -> AsyncIterator[Place]:
    authority = Authority(directory)
    certificate = authority.certificate(_NAME)
    async with _process("origin", str(certificate)) as origin:
        assert origin.stdout is not None
        port = int(await origin.stdout.readline())
        instance = Instance(directory / "gateway", _settings(port, authority, directory))
        hosts = str(directory / "hosts.json")
        instance.process.program = ("-m", "tests.support.resolver_gateway", hosts, _MAX_AGE)
        place = Place(directory, instance, Issuer(directory, "https://idp.test", AUDIENCE))
        place.name(**_USUAL)
        try:
            await instance.start()
            yield place
        finally:
            await instance.kill()


@asynccontextmanager
async def _crowd(place: Place, kind: str) -> AsyncIterator[None]:
    async with _process(kind, str(place.instance.process.port), _BAD, nice=_LEAST_PRIORITY):
        await asyncio.sleep(_WARM)
        if kind not in FLOODS:
            await place.settle()
        yield


@asynccontextmanager
async def _names(place: Place, **names: Any) -> AsyncIterator[None]:
    """These names resolve so, and afterwards as ever."""
    place.name(**names)
    await asyncio.sleep(2)
    try:
        yield
    finally:
        place.name(**_USUAL)
        await asyncio.sleep(2)


@asynccontextmanager
async def _strangers(place: Place) -> AsyncIterator[None]:
    """Tokens of an issuer whose name hangs, each with a fresh key id, twenty a second."""

    async def ask(number: int) -> None:
        token = place.issuer.token(
            place.issuer.claims("acme"), headers={"kid": f"{number}-{time.monotonic()}"}
        )
        caller = Caller(lambda: ("127.0.0.1", place.instance.process.port))
        with contextlib.suppress(LostError):
            fields = fields_for(TENANTS[0], "1") | {"Authorization": f"Bearer {token}"}
            await caller.ask(request("GET", "/x", fields))
        caller.leave()

    async def strangers() -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                for number in range(2):
                    group.create_task(ask(number))
                await asyncio.sleep(0.1)

    async with _names(place, **_USUAL | {"idp_test": _HANGS}):
        task = asyncio.ensure_future(strangers())
        try:
            yield
        finally:
            task.cancel()


def _disturbances(place: Place) -> dict[str, Disturbance]:
    slow = {"after": 0.05, "addresses": ["127.0.0.1"]}
    return {
        **{what: partial(_crowd, place, kind) for kind, what in KINDS.items()},
        "a name server that takes 50 ms": partial(_names, place, localhost=slow, idp_test=[]),
        "a name server that does not answer any more": partial(
            _names, place, localhost=_HANGS, idp_test=_HANGS
        ),
        "an issuer's name that hangs, and strangers' tokens": partial(_strangers, place),
    }


async def _compare(
    place: Place, what: str, disturbed: Disturbance, seconds: float, rounds: int
) -> Comparison:
    alone, beside = list[Case](), list[Case]()
    for _ in range(rounds):
        alone.append(await place.case(seconds))
        async with disturbed():
            beside.append(await place.case(seconds))
    multiples = [with_it.p99 / without.p99 for without, with_it in zip(alone, beside, strict=True)]
    success = min(case.success for case in (*alone, *beside))
    return Comparison(what, success, _middle(alone), _middle(beside), sorted(multiples))


def _middle(cases: list[Case]) -> Case:
    return Case(*(statistics.median(values) for values in zip(*cases, strict=True)))


async def _print_all(directory: Path, options: argparse.Namespace) -> None:
    async with _placed(directory) as place:
        await place.case(2.0)
        for what, disturbed in _disturbances(place).items():
            if options.only in what:
                found = await _compare(place, what, disturbed, options.seconds, options.rounds)
                sys.stdout.write(_row(found))
                sys.stdout.flush()


def _row(found: Comparison) -> str:
    (_, p50, p99), (_, more, most) = found.alone, found.beside
    each = ", ".join(f"{multiple:.1f}" for multiple in found.multiples)
    return (
        f"| {found.what} | {found.success:.2%} | {p50 * 1000:.1f} / {p99 * 1000:.1f} "
        f"| {more * 1000:.1f} / {most * 1000:.1f} | {most / p99:.1f} ({each}) |\n"
    )


def main() -> int:
    """Prints a table: what, success, p50 / p99 in ms alone and beside it, p99 as a multiple."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.resilience.starvation")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a word of the disturbances that are wanted")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_print_all(Path(folder), options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
