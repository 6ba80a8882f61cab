"""The bound that `check` prints, for what nobody takes: log lines, audit lines, traces.

Requests that the policy refuses make one of each, quickly; the caller's and the tenant's names are
as long as names can be.
"""

import contextlib
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.cli.worst_case import AUDIT, LOG, TRACES
from gateway.observe import audit_file, writer
from tests.support.collector import Collector
from tests.support.gateway import GatewayProcess, eventually, token_hash
from tests.support.memory import NOISE, PLAIN_PYTHON, memory
from tests.support.world import ENVIRON, World, request

TENANT = "t" * 128
CALLER = "caller-" + "c" * 249
TOKEN = "igw_sentinel-token-of-the-caller-refused-0000"
ASKED = request("GET /silo/v1/entries", f"X-Request-Id: {'r' * 128}", token=TOKEN)
AT_ONCE = 50  # requests in a row on one connection, before their replies are read
VAULT: dict[str, Any] = {
    "tenants": {"acme": {"key": {"env": "TEST_KEY_A"}}, TENANT: {"key": {"env": "TEST_KEY_B"}}}
}


class Unread(GatewayProcess):
    """A gateway whose output is not read any more once `unread` is set."""

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        self.unread = threading.Event()
        self.left = threading.Event()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            for line in iter(self.process.stdout.readline, ""):
                self._lines.append(line.rstrip("\n"))
                if self.unread.is_set():
                    self.left.wait(60)
                    return

    def kill(self) -> None:
        """Ends it, and the wait of the thread that does not read."""
        self.left.set()
        super().kill()


@contextlib.contextmanager
def refusing(directory: Path, **changes: Any) -> Iterator[World]:
    """A gateway that knows that caller, and refuses it everything."""
    caller = {
        "tokens": [token_hash(TOKEN)],
        "issuers": [],
        "tenants": [TENANT],
        "allow": ["access.*"],
    }
    world = World(directory, {"callers": {CALLER: caller}, **changes}, VAULT)
    gateway = world.gateway = Unread(directory, world.configured, VAULT, ENVIRON | PLAIN_PYTHON)
    with gateway:
        refuse(world, 4 * AT_ONCE)  # first uses of code
        yield world
    world.origin.hang_up()
    world.files.hang_up()


def refuse(world: World, count: int) -> None:
    """So many requests are refused."""
    with socket.create_connection(("127.0.0.1", world.gateway.port), 20) as sock:
        for _ in range(count // AT_ONCE):
            sock.sendall(ASKED * AT_ONCE)
            seen = b""
            while seen.count(b'"status":403') < AT_ONCE:
                data = sock.recv(65536)
                assert data, seen[-500:]
                seen += data


def test_lines_that_nobody_takes(tmp_path: Path) -> None:
    """Output that is not read, and an audit log's file that cannot be written: both queues full."""
    with refusing(tmp_path, audit={"file": str(tmp_path / "audit")}) as world:
        gateway = world.gateway
        assert isinstance(gateway, Unread)
        audit = tmp_path / "audit"  # a thread writes it
        written = eventually(lambda: audit.read_bytes().splitlines()[1:-1])
        shortest = min(map(len, written))
        before, bound = gateway.resident_bytes(), memory(world)["log lines not written yet"]
        assert bound == LOG + AUDIT
        gateway.unread.set()
        size = audit.stat().st_size
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (size, size))
        refuse(world, audit_file.LIMIT // shortest + 1000)
        assert gateway.metric("audit_failing") == 1
        grown = gateway.resident_bytes() - before
    assert (writer.LIMIT + audit_file.LIMIT) / 2 < grown < bound + NOISE


def test_traces_that_the_receiver_does_not_take(tmp_path: Path) -> None:
    """A receiver that hangs, and more exchanges than may wait for it."""
    with Collector() as collector:
        endpoint = f"http://127.0.0.1:{collector.port}"
        tracing = {"endpoint": endpoint, "sample_ratio": 1.0}
        with refusing(tmp_path, tracing=tracing) as world:
            eventually(collector.spans)
            before, bound = world.gateway.resident_bytes(), memory(world)["traces not exported yet"]
            collector.gate.clear()
            refuse(world, TRACES + 1000)
            grown = world.gateway.resident_bytes() - before
            lost = world.gateway.metric("spans_dropped_total")
            collector.gate.set()
    assert lost > 0, "the queue was not full"
    assert bound / 8 < grown < bound + NOISE
