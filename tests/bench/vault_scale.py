"""Very many tenants: how long a start takes, and what a reload does to requests meanwhile.

By hand: `python -m tests.bench.vault_scale KIND TENANTS`, KIND being `value` (keys in the vault
file), `file` (a file each) or `discover` (found in a store that speaks OpenBao's protocol).
"""

import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.certificates import Authority, server_context
from tests.support.gateway import GatewayProcess, token_hash
from tests.support.keyed_origin import Callers, KeyedOrigin

TOKEN: Final = "igw_bench-of-very-many-tenants-000000000000"
PAUSE: Final = 0.005  # seconds between two requests of the probe
_PATH: Final = re.compile(rb"^GET /v1/(?:secret/data/invopop/(\S+)|\S+) ")


class Figures(NamedTuple):
    """Seconds of a start, resident MiB, milliseconds of the probe's slowest requests.

    `quiet` without a reload, `reload` during one; `effect` is seconds until its new key was sent.
    """

    start: float
    resident: int
    quiet: float
    reload: float
    effect: float


async def measure(directory: Path, kind: str, tenants: int, seconds: float = 3.0) -> Figures:
    """One gateway with that many tenants, and one reload in which keys change."""
    authority = Authority(directory)
    certificate = server_context(authority.certificate("localhost"))
    store = await asyncio.get_running_loop().create_server(_Store, "127.0.0.1", 0)
    async with KeyedOrigin(certificate, None) as origin:
        settings = {
            "listen": {"port": 0},
            "admin": {"port": 0},
            "upstream": {"url": f"https://localhost:{origin.port}",
                         "ca_file": str(authority.ca_file), "ca_only": True},
            "vault": {"openbao": {
                "url": f"http://127.0.0.1:{store.sockets[0].getsockname()[1]}",
                "token": {"value": "token"}}},
            "callers": {"bench": {"tokens": [token_hash(TOKEN)], "tenants": ["*"]}},
        }  # fmt: skip
        gateway = GatewayProcess(directory, settings, {"tenants": {}}, {"PYTHONDEVMODE": ""})
        write(directory, kind, tenants, 0)
        began = time.monotonic()
        await asyncio.to_thread(gateway.__enter__)
        try:
            start = time.monotonic() - began
            if kind == "discover":
                await meet(gateway.port, tenants)
            resident = gateway.resident_bytes() >> 20
            quiet = await probe(gateway.port, asyncio.ensure_future(asyncio.sleep(seconds)))
            changed = asyncio.ensure_future(change(directory, kind, tenants, origin))
            slowest = await probe(gateway.port, changed)
            return Figures(start, resident, quiet * 1e3, slowest * 1e3, changed.result())
        finally:
            await asyncio.to_thread(gateway.__exit__, None, None, None)
            store.close()


async def change(directory: Path, kind: str, tenants: int, origin: KeyedOrigin) -> float:
    """Changes keys and waits for a new one, and then for what the reload left to do."""
    _Store.version += 1
    await asyncio.to_thread(write, directory, kind, tenants, _Store.version)
    began = time.monotonic()
    while not origin.shown[key(0, _Store.version)]:
        await asyncio.sleep(0.01)
    effect = time.monotonic() - began
    await asyncio.sleep(1.0)
    return effect


def write(directory: Path, kind: str, tenants: int, version: int) -> None:
    """The vault file, and with `file` some of the key files anew."""
    head = '[discover]\nkey = { openbao = "secret/invopop/{tenant}", field = "k" }\n'
    lines = [head if kind == "discover" else ""]
    names = range(0 if kind == "discover" else tenants)
    (directory / "keys").mkdir(exist_ok=True)
    for n in names if kind == "file" else ():
        if version == 0 or n % 100 == 0:
            new = directory / "keys" / "new"
            new.write_text(key(n, version))
            new.replace(directory / "keys" / name(n))
    for n in names:
        source = f'file = "keys/{name(n)}"' if kind == "file" else f'value = "{key(n, version)}"'
        lines.append(f"[tenants.{name(n)}]\nkey = {{ {source} }}\n")
    path = directory / "vault.new"
    path.write_text("".join([*lines, f"# {version}\n"]))
    path.chmod(0o600)
    path.replace(directory / "vault.toml")


def name(n: int) -> str:
    """A tenant's name."""
    return f"tenant-{n:06}"


def key(n: int, version: int) -> str:
    """Its key."""
    return f"key-{version}-of-{name(n)}"


def request(n: int) -> bytes:
    """A request on behalf of a tenant."""
    head = f"GET /silo/v1/entries HTTP/1.1\r\nHost: gw\r\nX-Invopop-Tenant: {name(n)}\r\n"
    return f"{head}Authorization: Bearer {TOKEN}\r\n\r\n".encode()


async def meet(port: int, tenants: int) -> None:
    """One request for each tenant, so that all are in memory."""
    async with Callers(port, TOKEN, 0.0, 32) as callers:
        for n in range(tenants):
            while not callers.idle:
                await asyncio.sleep(0)
            callers.request = request(n)
            callers.idle.pop().ask()
    # On a busy machine a look-up may take more than the 2 s that a request waits for it.
    assert set(callers.statuses) <= {200, 503}, callers.statuses
    assert callers.statuses[200] > 0.95 * tenants, callers.statuses


async def probe(port: int, until: asyncio.Future[Any]) -> float:
    """The slowest of requests 5 ms apart, in seconds, until something has happened."""
    slowest = 0.0
    async with Callers(port, TOKEN, 0.0, 1) as callers:
        callers.request = request(0)
        while not until.done():
            began = time.perf_counter()
            callers.idle.pop().ask()
            while not callers.idle:
                await asyncio.sleep(0)
            slowest = max(slowest, time.perf_counter() - began)
            await asyncio.sleep(PAUSE)
    assert set(callers.statuses) == {200}, callers.statuses
    return slowest


class _Store(asyncio.Protocol):
    version = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        found = _PATH.match(data)
        tenant = found[1] if found else None
        body = b'{"data":{"ttl":0}}'
        if tenant:
            body = b'{"data":{"data":{"k":"key-%d-of-%b"}}}' % (self.version, tenant)
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def main() -> None:
    """Measures once and tells."""
    kind, tenants = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        figures = asyncio.run(measure(Path(directory), kind, tenants))
    sys.stdout.write(
        f"{tenants} tenants by {kind}: start {figures.start:.2f} s, {figures.resident} MiB;"
        f" slowest request {figures.quiet:.0f} ms, with a reload {figures.reload:.0f} ms;"
        f" the new key was sent after {figures.effect:.2f} s\n"
    )


if __name__ == "__main__":
    main()
