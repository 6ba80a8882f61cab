"""Hours in small: mixed load with faults; whatever was taken must be back where it began.

`python -m tests.bench.soak [--minutes N] [--rate R]`; exit 1 if something was not given back.
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
from tests.bench.resilience.topology import TENANTS, Instance, Topology, fields_for, staged

_ENTRY = "/silo/v1/entries/0193b2c4-0000-7000-8000-000000000001"
_CALLERS: Final = 24
_FAULTS: Final = {
    "goodbye": 0.03,
    "rude": 0.02,
    "drip": 0.02,
    "reset_before_head": 0.02,
    "reset_in_head": 0.02,
    "reset_in_body": 0.02,
    "truncated": 0.02,
    "stall_before_head": 0.01,
    "stall_in_body": 0.01,
    "500": 0.02,
    "503": 0.02,
    "429": 0.01,
}
_LARGE: Final = b"L" * 400_000
_SETTLED_SECONDS: Final = 20.0
_MORE_OBJECTS: Final = 500  # metric series that the warm-up did not meet; far fewer than requests
# Bytes of resident memory: allocators keep what they once had (compiled, 13 MiB in a minute).
_MAX_GROWTH: Final = 24 * 2**20


class Holdings(NamedTuple):
    """What the gateway holds: descriptors, tasks, objects, bytes, upstream and in-flight slots."""

    files: int
    tasks: int
    objects: int
    resident: int
    slots: int

    def __str__(self) -> str:
        return (
            f"{self.files} descriptors, {self.tasks} tasks, {self.objects} objects, "
            f"{self.resident / 2**20:.1f} MiB, {self.slots} slots taken"
        )


class Verdict(NamedTuple):
    """Before and after, and what the callers saw meanwhile."""

    before: Holdings
    after: Holdings
    counts: dict[str, int]
    met: dict[str, int]
    wrong_tenant: int

    @property
    def leaks(self) -> list[str]:
        """What was not given back; empty if all is well."""
        found = [
            name
            for name in ("files", "tasks", "slots")
            if getattr(self.after, name) > getattr(self.before, name)
        ]
        if self.after.resident - self.before.resident > _MAX_GROWTH:
            found.append("resident")
        if self.after.objects > self.before.objects + _MORE_OBJECTS:
            found.append("objects")
        return found + ["wrong tenant"] * bool(self.wrong_tenant)


async def soak(directory: Path, seconds: float, rate: float, *, tell: bool = False) -> Verdict:
    """A fifth of the time warms up: buffers, metric series and code paths are all there then."""
    changes = {"upstream": {"read_timeout": 1.0}, "listen": {"body_timeout": 2.0}}
    async with staged(directory, 1, changes) as topology:
        topology.origin.weather.faults = dict(_FAULTS)
        await _load(topology, seconds / 5, rate, tell=tell)
        before = await _settled(topology)
        if tell:
            _say(f"before: {before}")
        tally = await _load(topology, seconds * 4 / 5, rate, tell=tell)
        after = await _settled(topology, before)
        met = dict(topology.origin.met)
        return Verdict(before, after, tally.counts, met, len(topology.origin.wrong_tenant))


async def _load(topology: Topology, seconds: float, rate: float, *, tell: bool) -> Tally:
    tally, ends = Tally(), time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number in range(_CALLERS):
            group.create_task(_ask_on(topology, number, tally, (_CALLERS / rate, ends)))
        while tell and time.monotonic() < ends - 30:
            await asyncio.sleep(30)
            _say(f"  {tally.total} asked, {await _holdings(topology.instances[0])}")
    return tally


async def _ask_on(
    topology: Topology, number: int, tally: Tally, until: tuple[float, float]
) -> None:
    pace, ends = until
    chance = random.Random(number)
    caller = Caller(lambda: ("127.0.0.1", topology.instances[0].process.port))
    tenant = TENANTS[number % len(TENANTS)]
    count = 0
    while time.monotonic() < ends:
        await asyncio.sleep(chance.uniform(0, 2 * pace))
        count += 1
        fields = fields_for(tenant, f"{number}-{count}")
        try:
            tally.add(await _ask(caller, chance, fields))
        except LostError as lost:
            tally.add(lost.kind)
    caller.leave()


async def _ask(caller: Caller, chance: random.Random, fields: dict[str, str]) -> str:
    kind = chance.random()
    if kind < 0.1:  # a caller that leaves, before or amid its reply, or in its own body
        raw = request("PUT", _ENTRY, fields, _LARGE)
        await caller.start(raw[: chance.choice((len(raw), 200_000, 300))])
        await asyncio.sleep(chance.uniform(0, 0.05))
        caller.leave()
        return "left"
    if kind < 0.15:
        raw = request("POST", "/silo/v1/entries", fields, _LARGE)
    elif kind < 0.4:
        raw = request("POST", "/silo/v1/entries", fields, b'{"a":1}')
    elif kind < 0.5:
        raw = request("PUT", _ENTRY, fields, b'{"a":1}')
    elif kind < 0.55:
        raw = request("GET", "/silo/v1/entries", fields | {"Authorization": "Bearer wrong"})
    elif kind < 0.6:
        raw = request("GET", "/silo/v1/entries", fields | {"X-Request-Timeout": "0.02"})
    else:
        raw = request("GET", "/silo/v1/entries", fields)
    return str((await caller.ask(raw)).status)


async def _settled(topology: Topology, before: Holdings | None = None) -> Holdings:
    """What is held once all is quiet and no kept connection is left; never longer than a while."""
    deadline = time.monotonic() + _SETTLED_SECONDS
    instance = topology.instances[0]
    while True:
        topology.origin.hang_up()
        await asyncio.sleep(0.5)
        found = await _holdings(instance)
        back = before is None or (found.files <= before.files and found.tasks <= before.tasks)
        if (back and not found.slots) or time.monotonic() > deadline:
            return found


async def _holdings(instance: Instance) -> Holdings:
    """Of pool slots those in use or in line, of requests those in flight."""
    process = instance.process
    metrics = await asyncio.to_thread(process.metrics)
    slots = sum(
        int(value)
        for (name, _), value in metrics.items()
        if name in {"invopop_gateway_upstream_connections", "invopop_gateway_requests_in_flight"}
    )
    watched = await instance.watched()
    files, resident = process.open_files(), process.resident_bytes()
    return Holdings(files, watched["tasks"], watched["objects"], resident, slots)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Prints what was held before and after."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=150.0, help="requests a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        run = soak(Path(directory), arguments.minutes * 60, arguments.rate, tell=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            verdict = runner.run(run)
    _say(f"before: {verdict.before}\nafter:  {verdict.after}")
    _say(f"callers saw {dict(sorted(verdict.counts.items()))}")
    _say(f"faults met  {dict(sorted(verdict.met.items()))}")
    _say(f"not given back: {', '.join(verdict.leaks) or 'nothing'}")
    return int(bool(verdict.leaks))


if __name__ == "__main__":
    sys.exit(main())
