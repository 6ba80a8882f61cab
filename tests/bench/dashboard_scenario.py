"""What the dashboard's picture shows: some minutes of callers, good and bad, and of mishaps.

Rule: every mishap is a real one, done to real processes; its times are fixed.
"""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from uuid import uuid4

import httpx

from gateway.sandbox.samples import invoice
from tests.support.gateway import GatewayProcess
from tests.support.status_gateway import (
    BILLING,
    REPORTING,
    Sandbox,
    a_little_of_everything,
    observed,
    sandbox_process,
)

SECONDS: Final = 180.0
_AWAY: Final = (60.0, 72.0)  # Invopop is gone, and comes back with other keys and another CA
_MISTAKE: Final = (105.0, 125.0)  # a configuration that is refused, then fixed
_BUSY: Final = (130.0, 160.0)
_WORKERS: Final = 6
_PATHS: Final = ("/silo/v1/entries?limit=20",) * 6 + (
    *("/access/v1/workspace", "/utils/v1/ping", "/utils/v1/ping", "/sequence/v1/series"),
    *("/transform/v1/workflows", "/silo/v1/entries/01890000-0000-7000-8000-00000000abcd"),
)


class Play:
    """The gateway, and everybody around it, until `over`."""

    def __init__(self, gateway: GatewayProcess, stack: ExitStack, sandbox: Sandbox) -> None:
        self._gateway = gateway
        self._sandbox = sandbox
        self._stack = stack
        self._began = 0.0
        self._over = threading.Event()

    @property
    def target(self) -> str:
        """What Prometheus scrapes."""
        return f"127.0.0.1:{self._gateway.admin_port}"

    def run(self) -> None:
        """Returns when it is over."""
        self._began = time.monotonic()
        threads = [threading.Thread(target=self._caller, args=(n,)) for n in range(_WORKERS)]
        threads.append(threading.Thread(target=self._leaver))
        for thread in threads:
            thread.start()
        try:
            self._at(_AWAY[0], self._sandbox.process.kill)
            self._at(_AWAY[1], self._come_back)
            right = self._gateway.config.read_text()
            self._at(_MISTAKE[0], lambda: self._write('listen = { prot = "8585" }\n' + right))
            self._at(_MISTAKE[1], lambda: self._write(right))
            self._at(SECONDS, lambda: None)
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def _at(self, seconds: float, do: Callable[[], object]) -> None:
        time.sleep(max(0.0, self._began + seconds - time.monotonic()))
        do()

    def _come_back(self) -> None:
        self._stack.enter_context(sandbox_process(self._sandbox.directory, self._sandbox.port))

    def _write(self, text: str) -> None:
        self._gateway.config.write_text(text)

    def _caller(self, number: int) -> None:
        """Asks for this and that, more while all are busy; takes what it gets."""
        rng = random.Random(number)
        with httpx.Client(base_url=self._gateway.url, trust_env=False, timeout=10) as client:
            while not self._over.is_set():
                with contextlib.suppress(httpx.HTTPError):
                    self._ask(client, rng)
                now = time.monotonic() - self._began
                self._over.wait(rng.uniform(0.01, 0.06) / (3 if _BUSY[0] < now < _BUSY[1] else 1))

    @staticmethod
    def _ask(client: httpx.Client, rng: random.Random) -> None:
        tenant = rng.choices(("acme", "globex", "initech", "umbrella"), (60, 35, 1, 1))[0]
        who = rng.choices((BILLING, REPORTING, {"Authorization": "Bearer igw_old"}), (80, 19, 1))[0]
        headers = {**who, "X-Invopop-Tenant": tenant}
        if rng.random() < 0.15:
            path = f"/silo/v1/entries/{uuid4()}"
            client.put(path, headers=headers, json={"data": invoice(str(rng.random())[2:8])})
        else:
            client.get(rng.choice(_PATHS), headers=headers)

    def _leaver(self) -> None:
        """A caller that never waits for its reply."""
        lines = [
            *("POST /silo/v1/entries HTTP/1.1", "Host: gateway", "X-Invopop-Tenant: acme"),
            *(f"{name}: {value}" for name, value in BILLING.items()),
            *("Content-Length: 9", "", "{"),
        ]
        while not self._over.wait(0.7):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._gateway.port)) as connection,
            ):
                connection.sendall("\r\n".join(lines).encode())
                self._over.wait(0.05)


@contextlib.contextmanager
def stage(folder: Path) -> Iterator[Play]:
    """Sandbox and gateway, warm."""
    with ExitStack() as stack:
        (folder / "sandbox").mkdir()
        sandbox = stack.enter_context(sandbox_process(folder / "sandbox"))
        running = observed(folder, sandbox, {"PYTHONDEVMODE": ""})
        gateway = stack.enter_context(running)
        with httpx.Client(base_url=gateway.url, trust_env=False) as client:
            a_little_of_everything(client)
        yield Play(gateway, stack, sandbox)
