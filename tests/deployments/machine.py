"""A Debian with systemd as PID 1, booted in a container of its own; its changes last as long as it.

It has its own network with nothing but loopback.
"""

import shlex
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.gateway import eventually

_BOOT_SECONDS: Final = 120.0
_COMMAND_SECONDS: Final = 180.0


class Machine:
    """`root` is a file system made by debootstrap; `binds` are shown to it read-only."""

    def __init__(self, root: Path, binds: dict[Path, str]) -> None:
        self._command = [
            "systemd-nspawn", "--quiet", f"--directory={root}", "--volatile=overlay",
            "--private-network", "--register=no", "--keep-unit", "--console=passive", "--boot",
            *(f"--bind-ro={source}:{target}" for source, target in binds.items()),
        ]  # fmt: skip
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        self._nspawn = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            eventually(self._booted, _BOOT_SECONDS)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def run(self, script: str, **variables: str) -> str:
        """What a script prints, run by bash as root; it must succeed."""
        code, told = self.attempt(script, **variables)
        assert code == 0, f"{script}\n{told}"
        return told

    def attempt(self, script: str, **variables: str) -> tuple[int, str]:
        """The exit code of a script, and what it prints."""
        done = self.start(script, **variables)
        told, _ = done.communicate(timeout=_COMMAND_SECONDS)
        return done.returncode, told

    def start(self, script: str, **variables: str) -> "subprocess.Popen[str]":
        """A script that goes on while others run."""
        assigned = "".join(f"export {name}={shlex.quote(v)}\n" for name, v in variables.items())
        return subprocess.Popen(
            ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--pid", "--net",
             "--cgroup", "env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
             "LANG=C.UTF-8", "COLUMNS=200", "HOME=/root",
             "bash", "-euo", "pipefail", "-c", f"{assigned}{script}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            encoding="utf-8", errors="replace",
        )  # fmt: skip

    def _booted(self) -> bool:
        self._leader = self._child()  # again each time: at first another child prepares the mounts
        if not self._leader:
            return False
        _, told = self.attempt("systemctl is-system-running || true")
        return told.strip() in {"running", "degraded"}

    def _child(self) -> int:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, "systemd-nspawn could not start the machine"
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        found = children.read_text().split()
        return int(found[-1]) if found else 0

    def _end(self) -> None:
        if self._nspawn is not None and self._nspawn.poll() is None:
            self._nspawn.terminate()  # an orderly poweroff of what runs in it
            deadline = time.monotonic() + 30
            while self._nspawn.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            self._nspawn.kill()
            self._nspawn.wait()
