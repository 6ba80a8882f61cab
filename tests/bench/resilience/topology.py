"""What a long run plays on: an origin, gateways on fixed ports, a balancer; all on 127.0.0.1.

Origin, balancer and callers share this process's loop; each gateway is a process of its own.
"""

import asyncio
import contextlib
import json
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.resilience.balancer import Balancer, Target
from tests.bench.resilience.origin import LoadOrigin
from tests.support.certificates import Authority, server_context
from tests.support.gateway import GatewayProcess, eventually, token_hash, write_toml
from tests.support.world import merged

TENANTS: Final = ("acme", "globex", "initech")
TOKENS: Final = {name: f"igw_token-of-the-caller-for-{name}-00000" for name in TENANTS}
# Development mode checks much that costs time; these runs are about load.
_ENVIRON: Final = {"PYTHONDEVMODE": ""}


def key_of(tenant: str, generation: int = 0) -> str:
    """A tenant's key after so many rotations."""
    return f"key-of-{tenant}-{generation:04d}-000000000000000000"


def fields_for(tenant: str, unique: str) -> dict[str, str]:
    """The header fields by which a request can be followed and checked at the origin."""
    authorization = f"Bearer {TOKENS[tenant]}"
    return {"Authorization": authorization, "X-Own-Tenant": tenant, "X-Unique": unique}


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on at this moment, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


class Instance:
    """A gateway on fixed ports; its blocking steps are run beside the loop."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        directory.mkdir()
        self._report = directory / "watched.json"
        port, admin_port = free_ports(2)
        own = {"listen": {"port": port}, "admin": {"port": admin_port}}
        vault = {"tenants": {name: {"key": {"value": key_of(name)}} for name in TENANTS}}
        self.process = GatewayProcess(directory, merged(settings, own), vault, _ENVIRON)
        self.process.port, self.process.admin_port = port, admin_port
        self.process.program = ("-m", "tests.bench.resilience.instrumented", str(self._report))
        self.lines: list[str] = []

    async def start(self) -> None:
        """Starts it and waits until it serves."""
        self.process.launch()
        await asyncio.to_thread(self.process.wait_until_listening)

    async def stop(self) -> int:
        """SIGTERM, and its exit code."""
        code = await asyncio.to_thread(self.process.stop)
        await self.kill()  # closes what it printed to
        return code

    async def kill(self) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self.process.kill)
        self.lines += self.process.lines()

    async def watched(self) -> dict[str, int]:
        """How many tasks and objects live in it now."""
        self._report.unlink(missing_ok=True)
        self.process.signal(signal.SIGRTMIN)
        await asyncio.to_thread(eventually, self._report.exists)
        figures: dict[str, int] = json.loads(self._report.read_text())
        return figures

    def write_keys(self, generation: int) -> None:
        """Rotates every key: the one before is still named as the previous."""
        keys = {
            name: {
                "key": {"value": key_of(name, generation)},
                "previous": {"value": key_of(name, generation - 1)},
            }
            for name in TENANTS
        }
        path = self.process.directory / "vault.toml"
        write_toml(path.with_suffix(".new"), {"tenants": keys}).replace(path)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Writes the configuration anew, with its own ports."""
        own = {
            "listen": {"port": self.process.port},
            "admin": {"port": self.process.admin_port},
        }
        path = self.process.config
        write_toml(path.with_suffix(".new"), merged(settings, own)).replace(path)


class Topology:
    """One origin, some instances, and a balancer in front of them."""

    def __init__(self, origin: LoadOrigin, instances: list[Instance], settings: Any) -> None:
        self.origin = origin
        self.instances = instances
        self.settings: dict[str, Any] = settings
        self.balancer = Balancer([Target(i.process.port, i.process.admin_port) for i in instances])


def settings_for(origin_port: int, ca_file: Path) -> dict[str, Any]:
    """What every instance is told."""
    return {
        "listen": {"host": "127.0.0.1", "drain_delay": 1.0, "drain_timeout": 5.0},
        "upstream": {
            "url": f"https://localhost:{origin_port}",
            "ca_file": str(ca_file),
            "ca_only": True,
            "connect_timeout": 2.0,
            "read_timeout": 2.0,
        },
        "callers": {
            name: {"tokens": [token_hash(token)], "tenants": [name]}
            for name, token in TOKENS.items()
        },
        "log": {"sample_success": 0.0},
    }


@asynccontextmanager
async def staged(
    directory: Path, count: int, changes: Mapping[str, Any] | None = None
) -> AsyncIterator[Topology]:
    """Everything started, and ended afterwards."""
    authority = Authority(directory)
    tenants = {key_of(name, n): name for name in TENANTS for n in range(1000)}
    origin = LoadOrigin(server_context(authority.certificate("localhost")), tenants)
    await origin.open()
    settings = merged(settings_for(origin.port, authority.ca_file), changes or {})
    instances = [Instance(directory / f"gateway-{n}", settings) for n in range(count)]
    topology = Topology(origin, instances, settings)
    try:
        await asyncio.gather(*(instance.start() for instance in instances))
        await topology.balancer.open()
        yield topology
        await topology.balancer.close()
    finally:
        for instance in instances:
            await asyncio.to_thread(instance.process.kill)
        await origin.aclose()
