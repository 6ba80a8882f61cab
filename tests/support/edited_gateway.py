"""A gateway whose operator changes its files while it runs."""

import signal
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.support.gateway import eventually, write_toml
from tests.support.world import KEY_A, TOK_A, VAULT, World, merged, settings

WITHIN = 4.0
"""Seconds until a change is in force: the contract's 2 s, and a machine that is busy."""


class Operated(World):
    """A gateway whose operator changes its files."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, vault=self.vault(directory))
        self.settings = settings(self.origin, self.authority.ca_file, self.issuer)

    @staticmethod
    def vault(directory: Path) -> dict[str, Any]:
        """Each way in which a key file may lie there, a tenant each; and two keys by variable."""
        (directory / "plain").write_text(KEY_A)
        for version in ("..v1", "..v2"):
            (directory / "mounted" / version).mkdir(parents=True)
            (directory / "mounted" / version / "key").write_text(KEY_A)
        (directory / "mounted" / "..data").symlink_to("..v1")
        (directory / "mounted" / "key").symlink_to("..data/key")
        return {
            "tenants": {
                **VAULT["tenants"],
                "plain": {"key": {"file": "plain"}},
                "mounted": {"key": {"file": "mounted/key"}},
            }
        }

    @property
    def directory(self) -> Path:
        """Where both files are."""
        return self.gateway.directory

    def configure(self, changes: dict[str, Any], *without: str) -> None:
        """Another `gateway.toml`; `without` names callers that leave."""
        made = merged(deepcopy(self.settings), changes)
        for name in without:
            del made["callers"][name]
        replace(self.directory / "gateway.toml", made)

    def key_sent(self, token: str = TOK_A, *lines: str) -> str:
        """The key that goes up with a request now, or why none does."""
        self.origin.forget()
        reply = self.get("/x", *lines, token=token)
        if reply.status != 200:
            return str(reply.get("x-gateway-error"))
        (seen,) = self.origin.requests
        return str(seen.get("authorization")).removeprefix("Bearer ")

    def told(self) -> dict[str, Any]:
        """The log's last line on a reload."""
        times = int(self.reloads("success") + self.reloads("failure"))
        return self.gateway.told("config_reload", times)[-1]

    def reloads(self, outcome: str) -> float:
        """How many there were."""
        return self.gateway.metric("config_reloads_total", outcome=outcome)

    def reload(self, outcome: str = "success", times: int = 1) -> None:
        """SIGHUP, and the wait until it has been done.

        Twice where one may be under way that began before the last change.
        """
        for _ in range(times):
            self._reload_once(outcome)

    def _reload_once(self, outcome: str) -> None:
        before = self.reloads(outcome)
        self.gateway.signal(signal.SIGHUP)
        eventually(lambda: self.reloads(outcome) > before, 3 * WITHIN)


def replace(path: Path, content: dict[str, Any]) -> None:
    """A whole new file takes the old one's place."""
    write_toml(path.with_suffix(".new"), content).replace(path)
