"""No other process of the same user reads the memory of `serve`, and no core file holds it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway import GatewayProcess

ASK = """
import ctypes, os, resource
from gateway.cli.private_memory import keep_memory_private
resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))
keep_memory_private()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux's")
def test_the_process_is_not_dumpable_and_writes_no_core_file() -> None:
    """PR_GET_DUMPABLE (3) answers 0, and both core limits are 0."""
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "0", "0"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_serve_does_it(tmp_path: Path) -> None:
    """Before it has read any key."""
    settings = {"listen": {"port": 0}, "admin": {"port": 0}}
    with GatewayProcess(tmp_path, settings, {"tenants": {}}) as gateway:
        limits = Path(f"/proc/{gateway.process.pid}/limits").read_text()
    (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
