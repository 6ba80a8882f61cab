"""Tenants whose keys Invopop issues for seconds: does any request fail, or wait for a renewal?

By hand: `python -m tests.bench.issued --tenants 10000 --rate 2000 --life 30 --seconds 90 --away 8`.
Callers and the Invopop that issues share one process; the gateway is another. Each answer says when
its key was asked for: a request that came before that waited for its key.
"""

import argparse
import asyncio
import itertools
import json
import os
import random
import re
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvloop

from tests.support.certificates import Authority, server_context
from tests.support.gateway import GatewayProcess, token_hash
from tests.support.issuing_origin import CLIENT_ID, SECRET

TOKEN: Final = "igw_bench-of-issued-keys-00000000000000000"
TICK: Final = 0.002
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_KEY: Final = re.compile(rb"\r\nauthorization: Bearer ([^\r]*)\r\n", re.IGNORECASE)


class Plan(NamedTuple):
    """What is run. Seconds, but for `rate`, requests a second, and `issue_ms`."""

    tenants: int
    rate: float
    life: float
    seconds: float
    away: float
    issue_ms: float
    connections: int


class Invopop:
    """Issues keys that live for `life` seconds, takes no others; `away`: answers 503 instead."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.calls = 0
        self.away = False
        self.refused = 0
        self._keys: dict[bytes, tuple[float, float]] = {}  # until when each is valid; asked when
        self._numbers = itertools.count()

    def issue(self, body: bytes) -> bytes:
        """The answer to a call for a key."""
        self.calls += 1
        if self.away:
            return _reply(503, b"{}")
        owner = json.loads(body)["owner_id"]
        token, ends = f"key-{next(self._numbers)}-{owner}", int(time.time() + self.plan.life)
        self._keys[token.encode()] = ends, time.perf_counter()
        shown = {"owner_id": owner, "id": owner, "token": token, "token_expires": ends}
        return _reply(200, json.dumps(shown).encode())

    def serve(self, head: bytes) -> bytes:
        """The answer to any other request."""
        found = _KEY.search(head)
        ends, asked = self._keys.get(found[1], (0.0, 0.0)) if found is not None else (0.0, 0.0)
        if time.time() < ends:
            return _reply(200, b"%f" % asked)
        self.refused += 1
        return _reply(401, b"")


def _reply(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


class _Served(asyncio.Protocol):
    def __init__(self, invopop: Invopop) -> None:
        self._invopop = invopop
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            if not end or len(rest) < size:
                return
            self._received = rest[size:]
            if b"enrollment/authorize" in head[:60]:
                answer = self._invopop.issue(rest[:size])
                delay = self._invopop.plan.issue_ms / 1000
                asyncio.get_running_loop().call_later(delay, self._transport.write, answer)
            else:
                self._transport.write(self._invopop.serve(head + end))


class _Asking(asyncio.Protocol):
    def __init__(self, load: "Load") -> None:
        self._load = load
        self._received = b""
        self._since = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._load.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.connections -= 1
        if self in self._load.idle:
            self._load.idle.remove(self)

    def ask(self, tenant: str) -> None:
        """One request."""
        self._since = time.perf_counter()
        self._transport.write(
            f"GET /silo/v1/entries HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"X-Invopop-Tenant: {tenant}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        status = int(head[9:12])
        self._load.statuses[status] += 1
        self._load.waited += status == 200 and float(body) > self._since
        self._load.times.append(time.perf_counter() - self._since)
        self._load.idle.append(self)


class Load:
    """Requests of tenants drawn at random; what became of them, and how long each took."""

    def __init__(self, tenants: list[str], connections: int) -> None:
        self.tenants = tenants
        self.connections = connections
        self.statuses: Counter[int] = Counter()
        self.waited = 0  # for a key
        self.times: list[float] = []
        self.idle: list[_Asking] = []

    async def open(self, port: int) -> None:
        """Connects."""
        loop = asyncio.get_running_loop()
        for _ in range(self.connections):
            await loop.create_connection(lambda: _Asking(self), "127.0.0.1", port)

    async def meet(self) -> None:
        """Asks once for each tenant, as fast as the connections allow."""
        for tenant in self.tenants:
            while not self.idle:
                await asyncio.sleep(TICK)
            self.idle.pop().ask(tenant)
        await self._all_idle()

    async def _all_idle(self) -> None:
        deadline = time.monotonic() + 15.0
        while len(self.idle) < self.connections and time.monotonic() < deadline:
            await asyncio.sleep(TICK)

    async def pace(self, rate: float, seconds: float) -> None:
        """Asks `rate` times a second, as far as there are idle connections."""
        began, asked = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds:
            while asked < (now - began) * rate and self.idle:
                self.idle.pop().ask(random.choice(self.tenants))
                asked += 1
            await asyncio.sleep(TICK)
        await self._all_idle()


def _cpu(gateway: GatewayProcess) -> float:
    """Seconds of CPU that it has used."""
    stat = Path(f"/proc/{gateway.process.pid}/stat").read_text()
    return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


async def measure(directory: Path, plan: Plan) -> dict[str, object]:
    """One run, as figures."""
    invopop = Invopop(plan)
    authority = Authority(directory)
    context = server_context(authority.certificate("localhost"))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Served(invopop), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    upstream = {"url": f"https://localhost:{port}", "ca_file": authority.ca_file, "ca_only": True}
    settings = {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "upstream": upstream,
        "vault": {"invopop": {"client_id": CLIENT_ID, "client_secret": {"value": SECRET}}},
        "callers": {"bench": {"tokens": [token_hash(TOKEN)], "tenants": ["*"]}},
        "log": {"sample_success": 0.0},
    }
    vault = {"tenants": {}, "discover": {"key": {"invopop": "{tenant}"}}}
    gateway = GatewayProcess(directory, settings, vault, {"PYTHONDEVMODE": ""})
    await asyncio.to_thread(gateway.__enter__)
    try:
        load = Load(
            [str(uuid.UUID(int=number)) for number in range(plan.tenants)], plan.connections
        )
        await load.open(gateway.port)
        began = time.monotonic()
        await load.meet()
        met = time.monotonic() - began
        first, load.statuses, load.times, load.waited = load.statuses, Counter(), [], 0
        calls, spent_before, began = invopop.calls, _cpu(gateway), time.monotonic()
        if plan.away:
            loop.call_later(plan.seconds / 2, setattr, invopop, "away", True)
            loop.call_later(plan.seconds / 2 + plan.away, setattr, invopop, "away", False)
        await load.pace(plan.rate, plan.seconds)
        spent = time.monotonic() - began
        times = sorted(load.times)
        return {
            "first requests": f"{dict(first)} in {met:.1f} s",
            "connections lost": plan.connections - load.connections,
            "requests a second": round(len(times) / spent),
            "statuses": dict(load.statuses),
            "causes of failures": dict(
                Counter(str(line.get("cause", "")) for line in gateway.events("exchange"))
            ),
            "refused keys": invopop.refused,
            "p50, p99, p99.9, longest ms": [
                round(times[min(len(times) - 1, int(len(times) * share))] * 1e3, 1)
                for share in (0.5, 0.99, 0.999, 1.0)
            ],
            "waited for a key": load.waited,
            "calls for keys a second": round((invopop.calls - calls) / spent),
            "gateway's CPU, percent": round((_cpu(gateway) - spent_before) / spent * 100),
            "resident MiB": gateway.resident_bytes() >> 20,
        }
    finally:
        await asyncio.to_thread(gateway.__exit__, None, None, None)
        server.close()


def main() -> None:
    """Runs what the options say, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in Plan(10_000, 2000.0, 30.0, 60.0, 8.0, 200.0, 200)._asdict().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    plan = Plan(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as directory:
        for name, figure in uvloop.run(measure(Path(directory), plan)).items():
            print(f"{name}: {figure}")  # noqa: T201 - a command of its own


if __name__ == "__main__":
    main()
