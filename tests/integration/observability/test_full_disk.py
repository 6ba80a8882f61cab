"""A disk that is really full under stdout: no line is glued to another, and losses are reported."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import GatewayProcess, eventually
from tests.support.world import ENVIRON, VAULT, World

SIZE = 256 * 1024
ROOM = 16 * 1024
REQUESTS = 60


class OnDisk(GatewayProcess):
    """Its output goes to a file."""

    output: Path

    def launch(self) -> None:
        """Starts the process; does not wait."""
        with self.output.open("ab") as into:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=into,
                stderr=subprocess.STDOUT,
                env=self._environ,
                encoding="utf-8",
            )

    def lines(self) -> list[str]:
        """All whole lines so far."""
        return self.output.read_text().rpartition("\n")[0].splitlines()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed: a really full disk is NOT tested")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_under_stdout(tmp_path: Path, small_disk: Path) -> None:
    """Requests are served, `audit_failing` is 1, and what follows once there is room is whole."""
    world = World(tmp_path, {"audit": {"file": "stdout"}})
    gateway = world.gateway = OnDisk(tmp_path, world.configured, VAULT, ENVIRON)
    gateway.output = small_disk / "out"
    with world:
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(SIZE - ROOM - gateway.output.stat().st_size))
        for number in range(REQUESTS):
            reply = world.get("/x", f"X-Request-Id: full-{number}-" + "x" * 80)
            assert reply.status == 200
        eventually(lambda: gateway.metric("audit_failing") == 1)
        ballast.unlink()
        world.get("/x", "X-Request-Id: after")
        eventually(lambda: [line for line in gateway.lines() if "after" in line])
        assert gateway.stop() == 0
    torn = 0
    for line in gateway.lines():
        assert line.count('{"time":') <= 1, line
        try:
            json.loads(line)
        except ValueError:
            torn += 1
    assert torn <= 1
