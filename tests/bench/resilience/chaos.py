"""Chaos: mixed load through a balancer while faults, reloads, kills and rolling restarts happen.

`python -m tests.bench.resilience.chaos [--seconds 180] [--rate 300]`; exit 1 if a promise broke.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import uvloop

from tests.bench.resilience.client import Caller, LostError, Tally, request
from tests.bench.resilience.topology import TENANTS, Topology, fields_for, key_of, staged
from tests.support.gateway import tracebacks
from tests.support.world import merged

_ENTRY = "/silo/v1/entries/0193b2c4-0000-7000-8000-000000000001"
_CALLERS: Final = 32
# How long a caller goes on with a request that may be sent again: an open circuit, a drain and
# an origin that is away all end sooner.
_GIVES_UP: Final = 30.0
_RETRIED: Final = frozenset({429, 500, 502, 503, 504})
_BACKGROUND: Final = {"goodbye": 0.02, "rude": 0.01, "reset_before_head": 0.01, "truncated": 0.01}
_SPELLS: Final[tuple[dict[str, float], ...]] = (
    {"503": 0.2, "503_later": 0.05},
    {"reset_before_head": 0.1, "reset_in_head": 0.1, "reset_in_body": 0.1},
    {"stall_before_head": 0.02, "stall_in_body": 0.02, "drip": 0.1},
    {"502": 0.7, "504": 0.2},
    {"429": 0.2, "500": 0.1},
    {"rude": 0.5},
)


class Figures(NamedTuple):
    """What was asked, what became of it, and what was done meanwhile."""

    first_try: dict[str, int]
    idempotent: dict[str, int]
    other: dict[str, int]
    done: dict[str, int]
    accepted_twice: list[str]
    not_accepted: list[str]
    wrong_tenant: list[str]
    crashed: list[str]
    exit_codes: list[int]
    p99: float

    @property
    def broken(self) -> list[str]:
        """The promises that did not hold."""
        claims = {
            "a POST was accepted twice": self.accepted_twice,
            "a POST was answered 200 that the origin has not accepted": self.not_accepted,
            "a tenant's request bore another's key": self.wrong_tenant,
            "an idempotent request failed for good": self.idempotent.get("failed"),
            "a request got neither answer nor end": self.other.get("silent"),
            "something crashed": self.crashed,
            "a drain did not end well": any(self.exit_codes),
        }
        return [claim for claim, found in claims.items() if found]


class _Run:
    """One run: its callers' tallies and its conductor's doings."""

    def __init__(self, topology: Topology, seconds: float, rate: float) -> None:
        self.topology = topology
        self.ends = time.monotonic() + seconds
        self.pace = _CALLERS / rate
        self.first_try, self.idempotent, self.other, self.done = Tally(), Tally(), Tally(), Tally()
        self.posted: set[str] = set()
        self.exit_codes: list[int] = []
        self.generation = 0
        self.random = random.Random(6)

    # Callers

    async def ask_on(self, number: int) -> None:
        """One caller, until the end."""
        caller = Caller(lambda: ("127.0.0.1", self.topology.balancer.port))
        tenant, count = TENANTS[number % len(TENANTS)], 0
        while time.monotonic() < self.ends:
            await asyncio.sleep(self.random.uniform(0, 2 * self.pace))
            count += 1
            unique = f"{number}-{count}"
            if self.random.random() < 0.4:
                await self._ask_once(caller, tenant, unique)
            else:
                await self._ask_until_done(caller, tenant, unique)
        caller.leave()

    async def _ask_once(self, caller: Caller, tenant: str, unique: str) -> None:
        size = self.random.choice((2, 2, 2, 20_000, 200_000))
        fields = fields_for(tenant, unique)
        began = time.monotonic()
        try:
            reply = await caller.ask(request("POST", "/silo/v1/entries", fields, b"P" * size))
        except LostError as lost:
            self.other.add(lost.kind)
            return
        self.other.add(str(reply.status), began)
        if reply.status == 200:
            self.posted.add(unique)

    async def _ask_until_done(self, caller: Caller, tenant: str, unique: str) -> None:
        method = self.random.choice(("GET", "GET", "GET", "PUT", "DELETE"))
        raw = request(
            method,
            _ENTRY,
            fields_for(tenant, unique),
            b"",
        )
        began, wait = time.monotonic(), 0.05
        outcome = await self._outcome(caller, raw)
        self.first_try.add(outcome)
        while outcome != "200" and time.monotonic() - began < _GIVES_UP:
            await asyncio.sleep(wait * self.random.uniform(0.5, 1.0))
            wait = min(1.0, wait * 2)
            outcome = await self._outcome(caller, raw)
        self.idempotent.add("200" if outcome == "200" else "failed", began)

    async def _outcome(self, caller: Caller, raw: bytes) -> str:
        try:
            return str((await caller.ask(raw)).status)
        except LostError as lost:
            return lost.kind

    # What happens to them

    async def conduct(self) -> None:
        """One event after the other; each kind at least once, if there is time for it."""
        events = (self._spell, self._reload, self._kill, self._spell, self._restart, self._rotate,
                  self._spell, self._origin_away, self._broken_reload)  # fmt: skip
        number = 0
        while time.monotonic() < self.ends - 2.0:
            await events[number % len(events)]()
            await asyncio.sleep(0.3)
            number += 1
        self.topology.origin.weather.faults = {}

    async def _spell(self) -> None:
        faults = _SPELLS[self.done.counts.get("spells", 0) % len(_SPELLS)]
        self.done.add("spells")
        self.topology.origin.weather.faults = _BACKGROUND | faults
        await asyncio.sleep(2.0)
        self.topology.origin.weather.faults = dict(_BACKGROUND)

    async def _reload(self) -> None:
        self.done.add("reloads")
        limit = {"limits": {"max_in_flight": self.random.choice((512, 1024, 2048))}}
        read = {"upstream": {"read_timeout": self.random.choice((1.5, 2.0, 2.5))}}
        for instance in self.topology.instances:
            instance.write_settings(merged(merged(self.topology.settings, limit), read))
        await asyncio.sleep(1.0)

    async def _broken_reload(self) -> None:
        self.done.add("broken reloads")
        for instance in self.topology.instances:
            instance.write_settings(merged(self.topology.settings, {"limits": {"max_body": -1}}))
        await asyncio.sleep(1.0)
        for instance in self.topology.instances:
            instance.write_settings(self.topology.settings)

    async def _rotate(self) -> None:
        """New keys in every vault; the old ones are refused at once, as after a leak."""
        self.done.add("rotations")
        self.generation += 1
        for instance in self.topology.instances:
            instance.write_keys(self.generation)
        await asyncio.sleep(0.7)
        old = {key_of(name, self.generation - 1) for name in TENANTS}
        self.topology.origin.weather.refused_keys |= old
        await asyncio.sleep(0.5)

    async def _kill(self) -> None:
        self.done.add("kills")
        instance = self.random.choice(self.topology.instances)
        await instance.kill()
        await asyncio.sleep(0.3)
        await instance.start()

    async def _restart(self) -> None:
        """A rolling restart: one after the other, each drained."""
        self.done.add("rolling restarts")
        for instance in self.topology.instances:
            self.exit_codes.append(await instance.stop())
            await instance.start()
            await asyncio.sleep(0.3)

    async def _origin_away(self) -> None:
        self.done.add("origin away")
        self.topology.origin.away()
        await asyncio.sleep(1.0)
        await self.topology.origin.open()


async def run(directory: Path, seconds: float, rate: float) -> Figures:
    """All of it, and its figures."""
    async with staged(directory, 2) as topology:
        one = _Run(topology, seconds, rate)
        async with asyncio.TaskGroup() as group:
            group.create_task(one.conduct())
            for number in range(_CALLERS):
                group.create_task(one.ask_on(number))
        for instance in topology.instances:
            one.exit_codes.append(await instance.stop())
        return _figures(one)


def _figures(one: _Run) -> Figures:
    origin = one.topology.origin
    lines = [line for instance in one.topology.instances for line in instance.lines]
    return Figures(
        first_try=one.first_try.counts,
        idempotent=one.idempotent.counts,
        other=one.other.counts,
        done=one.done.counts,
        accepted_twice=[unique for unique, count in origin.posts.items() if count > 1],
        not_accepted=[unique for unique in one.posted if not origin.posts[unique]],
        wrong_tenant=origin.wrong_tenant,
        crashed=tracebacks(lines),
        exit_codes=one.exit_codes,
        p99=one.idempotent.quantile(0.99),
    )


def main() -> int:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.resilience.chaos")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--rate", type=float, default=300.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        running = run(Path(directory), arguments.seconds, arguments.rate)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(running)
    for name, value in figures._asdict().items():
        sys.stdout.write(f"{name}: {value}\n")
    sys.stdout.write(f"broken promises: {'; '.join(figures.broken) or 'none'}\n")
    return int(bool(figures.broken))


if __name__ == "__main__":
    sys.exit(main())
