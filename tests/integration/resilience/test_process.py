"""Start, end and starvation of the process: signals at bad moments, full pipes, no descriptors."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.resilience.rolling import Plan, measure
from tests.support.caller import NoReplyError
from tests.support.gateway import START_TIMEOUT, GatewayProcess, eventually
from tests.support.world import ENVIRON, VAULT, World, request

FEW_FILES = 64
LIMITED = (
    "import resource, runpy;"
    f"resource.setrlimit(resource.RLIMIT_NOFILE, ({FEW_FILES}, {FEW_FILES}));"
    "runpy.run_module('gateway', run_name='__main__', alter_sys=True)"
)


async def test_rolling_restarts_lose_nothing(tmp_path: Path) -> None:
    """Callers that honour `Connection: close` and move on: every request is answered 200."""
    runs = await measure(tmp_path, Plan(runs=2, rate=200, delay=0.4))
    assert [(run.failed, run.exit_code, run.moved) for run in runs] == [(0, 0, True)] * 2
    assert all(run.counts["200"] > 100 for run in runs)


@pytest.mark.parametrize("delay", [0.0, 0.15, 0.3, 0.45, 0.6])
def test_terminated_while_starting(tmp_path: Path, delay: float) -> None:
    """It ends soon, at whatever step it was: in order, or by the signal itself."""
    world = World(tmp_path)
    world.gateway.launch()
    time.sleep(delay)  # the moment is the case
    assert world.gateway.stop() in {0, -signal.SIGTERM}
    world.gateway.kill()
    world.origin.hang_up()


def test_terminated_while_reloading(tmp_path: Path) -> None:
    """A reload under way neither holds up the drain nor spoils its exit code."""
    vault = {"tenants": VAULT["tenants"] | {f"t{n}": {"key": {"value": f"k{n}"}}
                                            for n in range(300)}}  # fmt: skip
    with World(tmp_path, vault=vault) as world, world.origin.silence() as silence:
        connection = world.connect()
        connection.send(request("GET /x"))
        world.origin.eventually_started(1)
        world.gateway.signal(signal.SIGHUP)
        world.gateway.signal(signal.SIGTERM)
        eventually(lambda: world.gateway.admin("/readyz")[0] == 503)
        silence.release()
        assert connection.reply().status == 200
        assert world.gateway.wait() == 0


def test_processes_share_a_port(tmp_path: Path) -> None:
    """With `reuse_port`, each with an admin port of its own; one may go, the other serves all."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        free.bind(("127.0.0.1", 0))
        shared = {"listen": {"reuse_port": True, "port": free.getsockname()[1]}}
        one, other = tmp_path / "one", tmp_path / "other"
        one.mkdir()
        other.mkdir()
        with World(one, shared) as first:
            second = GatewayProcess(other, {}, {})
            shutil.copy(first.gateway.config, second.config)
            shutil.copy(one / "vault.toml", other)
            second._environ |= ENVIRON
            with second:
                assert first.gateway.port == second.port
                assert first.gateway.admin_port != second.admin_port
                for _ in range(60):
                    assert first.get("/x").status == 200
                counts = [p.metric("requests_total") for p in (first.gateway, second)]
                assert min(counts) > 5
                assert second.stop() == 0
            for _ in range(20):
                assert first.get("/x").status == 200


def test_a_start_costs_little(tmp_path: Path) -> None:
    """At most 1.5 s of processor time, the best of two; 0.8 s where nothing else runs."""
    spent = []
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        with World(directory, environ={"PYTHONDEVMODE": ""}) as world:
            stat = Path(f"/proc/{world.gateway.process.pid}/stat").read_text()
            user, system = stat.rpartition(")")[2].split()[11:13]
            spent.append((int(user) + int(system)) / os.sysconf("SC_CLK_TCK"))
    assert min(spent) < 1.5


@contextmanager
def _made(directory: Path) -> Iterator[tuple[World, int, int]]:
    """A configuration on fixed ports for a process that the test itself starts."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as t:
        port, admin_port = one.getsockname()[1], t.getsockname()[1]
    changes = {"listen": {"port": port}, "admin": {"port": admin_port}}
    world = World(directory, changes)
    world.gateway.port, world.gateway.admin_port = port, admin_port
    yield world, port, admin_port
    world._close_connections()
    world.origin.hang_up()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_blocked_stdout_blocks_nothing(tmp_path: Path) -> None:
    """A pipe that is full and that nobody reads: requests are served, and the end is an end."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    with _made(tmp_path) as (world, port, _):
        command = [sys.executable, "-m", "gateway", "serve", "--config", str(world.gateway.config)]
        with subprocess.Popen(command, stdout=write, env=world.gateway._environ) as process:
            try:
                eventually(lambda: _listens(port), START_TIMEOUT)
                connection = world.connect()
                for _ in range(100):
                    connection.send(request("GET /x"))
                    assert connection.reply().status == 200
                assert os.read(read, 1)
                process.terminate()
                assert process.wait(20) == 0
            finally:
                process.kill()
    os.close(read)
    os.close(write)


def test_as_process_one(tmp_path: Path) -> None:
    """As a container's first process, for which signals have no default effect."""
    wrapped = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*wrapped, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces for us here")
    with _made(tmp_path) as (world, port, _):
        command = [*wrapped, sys.executable, "-m", "gateway", "serve", "--config"]
        with subprocess.Popen(
            [*command, str(world.gateway.config)],
            stdout=subprocess.DEVNULL,
            env=world.gateway._environ,
        ) as outer:
            eventually(lambda: _listens(port), START_TIMEOUT)
            assert world.get("/x").status == 200
            children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGTERM)
            assert outer.wait(10) == 0


def test_out_of_descriptors(tmp_path: Path) -> None:
    """More connections than there can be: it lives, and serves as soon as some are gone."""
    world = World(tmp_path)
    world.gateway.program = ("-c", LIMITED)
    with world:
        crowd = [world.connect() for _ in range(2 * FEW_FILES)]
        eventually(lambda: world.gateway.open_files() >= FEW_FILES - 1)
        for connection in crowd[:8]:
            connection.send(request("GET /x"))
        statuses = [connection.reply(timeout=10).status for connection in crowd[:8]]
        assert set(statuses) <= {200, 502, 503}
        for connection in crowd:
            connection.close()
        eventually(lambda: _served(world))
        assert world.gateway.process.poll() is None
        assert all(_served(world) for _ in range(5))


def _served(world: World) -> bool:
    """Out of descriptors libuv takes connections only to close them: nobody waits in vain."""
    try:
        return world.get("/x").status == 200
    except (NoReplyError, OSError):
        return False
