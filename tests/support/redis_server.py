"""A real Redis on a free port, that can be killed and started again."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

import pytest

PASSWORD = "sentinel-password-of-redis"


class RedisServer:
    """A context manager; skips the test where Redis is not installed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        """As the configuration names it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        if shutil.which("redis-server") is None:
            assert not os.environ.get("CI"), "no redis-server: shared limits are NOT tested"
            pytest.skip("no redis-server")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, empty, and waits until it serves."""
        options = ("--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD)
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--dir", str(self._directory), *options],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        while b"Ready to accept connections" not in (line := self._process.stdout.readline()):
            assert line, "Redis did not start"

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
