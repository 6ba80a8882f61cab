"""The program as a process: started from a written configuration, watched, and made to end.

Everything that it prints is kept: a run whose output holds a traceback has failed.
"""

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from prometheus_client.parser import text_string_to_metric_families

T = TypeVar("T")
START_TIMEOUT = 60.0  # only a limit: machines that run the suite are busy
STOP_TIMEOUT = 15.0
_SLOW_STEP = re.compile(r"(?m)^Executing <.*> took [0-9.]+ seconds\n")
_KEPT = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_CONFIG")


def eventually(get: Callable[[], T], timeout: float = 20.0) -> T:
    """Polls until `get()` is truthy and returns that; fails with its last value after `timeout`."""
    deadline = time.monotonic() + timeout
    while not (value := get()):
        if time.monotonic() > deadline:
            message = f"still {value!r} after {timeout} s"
            raise AssertionError(message)
        time.sleep(0.01)
    return value


def token_hash(token: str) -> str:
    """An opaque caller token as the configuration names it."""
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def toml(value: object) -> str:
    """A Python value as a TOML value; tables are written inline."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float() | date():
            return value.isoformat() if isinstance(value, date) else repr(value)
        case str() | Path():
            return json.dumps(str(value), ensure_ascii=False)
        case Mapping():
            inside = (f"{json.dumps(key)} = {toml(item)}" for key, item in value.items())
            return "{ " + ", ".join(inside) + " }"
        case _ if isinstance(value, list | tuple):
            return "[" + ", ".join(toml(item) for item in value) + "]"
    message = f"no TOML for {type(value).__name__}"
    raise TypeError(message)


def write_toml(path: Path, content: Mapping[str, object]) -> Path:
    """Writes `content`, one key a line, closed to others as a vault file must be."""
    path.write_text("".join(f"{key} = {toml(value)}\n" for key, value in content.items()))
    path.chmod(0o600)
    return path


def tracebacks(lines: Iterable[str]) -> list[str]:
    """The lines that tell of an exception nobody handled."""
    signs = ("Traceback (most recent", "was never retrieved", "RuntimeWarning", '"exception":')
    return [line for line in lines if any(sign in line for sign in signs)]


class GatewayProcess:
    """`serve` as a process, from `settings` and `vault` written to `directory`.

    A context manager: leaving it kills what still runs, and asserts that nothing printed a
    traceback. `environ` is added to an otherwise minimal environment. `program` is what Python
    runs in the place of the package itself.
    """

    program: tuple[str, ...] = ("-m", "gateway")

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any],
        vault: Mapping[str, Any],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.config = write_toml(directory / "gateway.toml", settings)
        write_toml(directory / "vault.toml", vault)
        self._environ = _minimal(environ or {})
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._reader: threading.Thread | None = None
        self.port = 0
        self.admin_port = 0

    def __enter__(self) -> Self:
        self.launch()
        try:
            self.wait_until_listening()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        crashed = tracebacks(self.lines())
        assert not crashed, crashed

    def launch(self) -> None:
        """Starts the process and the thread that collects its output, anew; does not wait."""
        self._lines = []
        self._process = subprocess.Popen(
            [sys.executable, *self.program, "serve", "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environ,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._collect, daemon=True)
        self._reader.start()

    def wait_until_listening(self) -> None:
        """Waits for both listening events and takes the real ports from them."""
        eventually(lambda: self._listening().keys() >= {"callers", "admin"} or self._died(),
                   START_TIMEOUT)  # fmt: skip
        assert not self._died(), "\n".join(self.lines())
        ports = {name: int(url.rpartition(":")[2]) for name, url in self._listening().items()}
        self.port, self.admin_port = ports["callers"], ports["admin"]

    def _listening(self) -> dict[str, str]:
        return {line["listener"]: line["url"] for line in self.events("listening")}

    def _died(self) -> bool:
        return self.process.poll() is not None

    def _collect(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            self._lines.extend(line.rstrip("\n") for line in iter(self.process.stdout.readline, ""))

    @property
    def process(self) -> subprocess.Popen[str]:
        """The running process."""
        assert self._process is not None, "not started"
        return self._process

    @property
    def url(self) -> str:
        """The callers' listener."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        """The admin listener."""
        return f"http://127.0.0.1:{self.admin_port}"

    def lines(self) -> list[str]:
        """All lines printed so far, stdout and stderr together, in order."""
        return list(self._lines)

    def records(self) -> list[dict[str, Any]]:
        """The printed lines that are JSON objects."""
        parsed = (_json_object(line) for line in self.lines())
        return [record for record in parsed if record is not None]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's records of one event."""
        return [record for record in self.records() if record.get("event") == name]

    def told(self, name: str, times: int = 1) -> list[dict[str, Any]]:
        """The log's records of one event, once there are so many: lines follow after a moment."""
        return eventually(lambda: found if len(found := self.events(name)) >= times else [])

    def exchange(self, request_id: str) -> dict[str, Any]:
        """The access log's record of one request, once it is there."""
        found = eventually(
            lambda: [r for r in self.events("exchange") if r["request_id"] == request_id]
        )
        return found[0]

    def admin(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """GETs a path of the admin listener: status and body, whatever the status."""
        request = urllib.request.Request(self.admin_url + path, headers=dict(headers or {}))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _EveryStatus())
        with opener.open(request, timeout=5) as reply:
            return reply.status, reply.read()

    def metrics_text(self) -> str:
        """The exposition as Prometheus would scrape it."""
        status, body = self.admin("/metrics")
        assert status == 200, body
        return body.decode()

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample of a scrape, by name and sorted labels."""
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.metrics_text())
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that bear at least these labels. Without the prefix."""
        wanted = set(labels.items())
        return sum(
            value
            for (sample, found), value in self.metrics().items()
            if sample == f"invopop_gateway_{name}" and wanted <= set(found)
        )

    def open_files(self) -> int:
        """How many file descriptors the process holds."""
        try:
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))  # noqa: PTH208
        except PermissionError:  # its memory is private: only root, and it itself, may look
            line = next(
                n for n in self.metrics_text().splitlines() if n.startswith("process_open_fds")
            )
            return int(float(line.split()[1]))

    def resident_bytes(self) -> int:
        """The process's resident set."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Waits for the process to end and its output to be read; its exit code."""
        code = self.process.wait(timeout)
        if self._reader is not None:
            self._reader.join(timeout)
        return code

    def stop(self) -> int:
        """SIGTERM, then the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """Ends the process whatever its state."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self.wait()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()


class _EveryStatus(urllib.request.HTTPErrorProcessor):
    """Hands back a 4xx or 5xx as a reply instead of raising it."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response


def run(arguments: list[str], environ: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Runs one command of the program to its end: exit code, and stdout and stderr together."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=_minimal(environ or {}),
        timeout=START_TIMEOUT,
        encoding="utf-8",
        check=False,
    )
    return done.returncode, without_slow_steps(done.stdout)


def without_slow_steps(text: str) -> str:
    """What a program wrote, less what asyncio's debug mode reports of a busy machine."""
    return _SLOW_STEP.sub("", text)


def _minimal(extra: Mapping[str, str]) -> dict[str, str]:
    kept = {k: os.environ[k] for k in _KEPT if k in os.environ}
    return {**kept, "PYTHONDEVMODE": "1", "COLUMNS": "200", **extra}


def _json_object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
