"""`python -m tests.bench.start`: how long `serve` and the other commands take to start.

By turns, medians: CPU time (user and system) and wall time until `serve` says that it is ready
(sd_notify), or until the command ends, and the memory of `serve` then.
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.support.gateway import write_toml

PATIENCE: Final = 60.0  # seconds
_TICK: Final = os.sysconf("SC_CLK_TCK")
_SETTINGS: Final = {
    "listen": {"port": 0},
    "admin": {"port": 0},
    "callers": {"billing": {"networks": ["127.0.0.0/8"], "tenants": ["acme"]}},
}
_ISSUER: Final = {
    "issuer": "https://127.0.0.1:1/",  # nothing answers there
    "audience": "gateway",
    "algorithms": ["RS256"],
    "jwks_url": "https://127.0.0.1:1/keys",
}
_VAULT: Final = {"tenants": {"acme": {"key": {"value": "sk_of_acme"}}}}


class Start(NamedTuple):
    """One start: seconds of CPU, seconds on the clock, and MiB of memory (0: not looked at)."""

    cpu: float
    wall: float
    memory: float = 0.0


def ready(python: str, config: Path) -> Start:
    """`serve` until every listener listens."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as said,
    ):
        address = str(Path(folder) / "notify")
        said.bind(address)
        said.settimeout(PATIENCE)
        began = time.monotonic()
        command = [python, "-P", "-m", "gateway", "serve", "--config", str(config)]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env=os.environ | {"NOTIFY_SOCKET": address}
        )
        try:
            while b"READY=1" not in said.recv(4096):
                pass
            wall = time.monotonic() - began
            folder_of = Path(f"/proc/{process.pid}")
            fields = (folder_of / "stat").read_text().rpartition(")")[2].split()
            pages = int((folder_of / "statm").read_text().split()[1])
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return Start((int(fields[11]) + int(fields[12])) / _TICK, wall, memory)


def ended(python: str, *arguments: str) -> Start:
    """A command until it ends."""
    before, began = os.times(), time.monotonic()
    subprocess.run(
        [python, "-P", "-m", "gateway", *arguments], stdout=subprocess.DEVNULL, check=True
    )
    after, wall = os.times(), time.monotonic() - began
    cpu = after.children_user + after.children_system
    return Start(cpu - before.children_user - before.children_system, wall)


def measured(pythons: Mapping[str, str], rounds: int, folder: Path) -> dict[str, list[Start]]:
    """All starts of each form, by what was started; the first of each is not counted."""
    write_toml(folder / "vault.toml", _VAULT)
    usual = write_toml(folder / "gateway.toml", _SETTINGS)
    remote = write_toml(folder / "remote.toml", {**_SETTINGS, "issuers": [_ISSUER]})
    commands: dict[str, Callable[[str], Start]] = {
        "serve": lambda python: ready(python, usual),
        "serve, an issuer with a URL": lambda python: ready(python, remote),
        "check": lambda python: ended(python, "check", "--config", str(usual)),
        "demo --once": lambda python: ended(python, "demo", "--once"),
        "--version": lambda python: ended(python, "--version"),
    }
    found: dict[str, list[Start]] = {}
    for number in range(rounds + 1):
        for form, python in pythons.items():
            for name, start in commands.items():
                one = start(python)
                if number:
                    found.setdefault(f"{name}{form}", []).append(one)
    return found


def main() -> None:
    """Measures, and shows."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.start", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="starts of each; default 9")
    parser.add_argument("--compiled", metavar="PYTHON", help="a Python with the compiled gateway")
    arguments = parser.parse_args()
    pythons = {"": sys.executable}
    if arguments.compiled:
        pythons[", compiled"] = str(Path(arguments.compiled).absolute())
    with tempfile.TemporaryDirectory() as folder:
        found = measured(pythons, arguments.rounds, Path(folder))
    table = Table("start of", "CPU ms", "wall ms", "RSS MiB")
    for name, starts in found.items():
        cpu, wall, memory = (statistics.median(column) for column in zip(*starts, strict=True))
        table.add_row(
            name, f"{cpu * 1000:.0f}", f"{wall * 1000:.0f}", f"{memory:.0f}" if memory else ""
        )
    Console(width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == "__main__":
    main()
