"""A guide's chapters, run as a reader would: blocks of commands in a shell, one after the other.

Rule: a block runs as it stands. Only `sleep 2`, which leaves a change the time to take effect, is
the moment at which it has.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.support.gateway import GatewayProcess, eventually

_BLOCK: Final = re.compile(r"^( *)```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_PAUSE: Final = "sleep 2\n"
_PATIENCE: Final = 60


class Chapter:
    """One chapter of a document: its blocks by language, in order."""

    def __init__(self, document: Path, title: str) -> None:
        text = document.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
        found = _BLOCK.findall(text)
        self.commands = [textwrap.dedent(body) for _, language, body in found if language == "sh"]
        self.toml = [textwrap.dedent(body) for _, language, body in found if language == "toml"]


class Reader:
    """Somebody at a shell beside a running gateway; variables last from block to block."""

    def __init__(self, gateway: GatewayProcess, variables: Mapping[str, str]) -> None:
        self._gateway = gateway
        self._kept = gateway.directory / "variables.sh"
        self._log = gateway.directory / "gateway.log"
        self._environ = {
            **variables,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(gateway.directory),
            "INVOPOP_GATEWAY_CONFIG": str(gateway.config),
            "GATEWAY": gateway.url,
            "ADMIN": gateway.admin_url,
            "LOG": str(self._log),
            "COLUMNS": "200",
        }

    async def run(self, block: str) -> str:
        """What a block prints; it must succeed."""
        return await asyncio.to_thread(self._run, block)

    def _run(self, block: str) -> str:
        told = ""
        for number, part in enumerate(block.split(_PAUSE)):
            if number:
                self._take_effect()
            told += self._shell(part)
        return told

    def _shell(self, commands: str) -> str:
        eventually(self._log_is_whole)
        self._log.write_text("".join(f"{line}\n" for line in self._gateway.lines()))
        kept = f"set -a; [ ! -f {self._kept} ] || . {self._kept}"
        script = f"set -euo pipefail; {kept}\n{commands}\nexport -p > {self._kept}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self._gateway.directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PATIENCE,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}"
        return done.stdout

    def _log_is_whole(self) -> bool:
        """Each request that was counted has its line."""
        return len(self._gateway.events("exchange")) >= self._gateway.metric("requests_total")

    def _take_effect(self) -> None:
        """Twice, for one reload may have begun before the last change."""
        for _ in range(2):
            before = self._reloads()
            self._gateway.signal(signal.SIGHUP)
            eventually(lambda before=before: self._reloads() > before, _PATIENCE)  # type: ignore[misc]

    def _reloads(self) -> float:
        return self._gateway.metric("config_reloads_total", outcome="success")
