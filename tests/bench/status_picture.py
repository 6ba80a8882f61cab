"""The picture of the status page in the README: a real gateway before the sandbox, under load.

    uv run python -m tests.bench.status_picture [MINUTES]

Fifteen minutes of mixed requests by default, with what goes wrong in a day: tokens mistyped,
tenants mixed up, a key that ends soon, one that is missing, Invopop failing for some seconds.
"""

import asyncio
import math
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.sandbox.identifiers import uuid7
from gateway.sandbox.samples import WORKFLOW_ID, invoice
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import RunningSandbox, running
from tests.support.chromium import Chromium
from tests.support.gateway import GatewayProcess, token_hash
from tests.support.jwt import Issuer

PICTURE: Final = Path(__file__).parents[2] / "deploy" / "status-page.png"
MINUTES: Final = 15.5
TENANTS: Final = ("acme", "globex", "globex-iberia", "initech", "umbrella")
OUTAGE: Final = (0.62, 0.635)  # from when to when Invopop fails, of the whole run
ISSUER: Final = "https://id.internal"
TOKENS: Final = {"billing": "igw_picture-of-billing", "reporting": "igw_picture-of-reporting"}
DAY: Final = 86_400.0
Pick = random.Random(7)


class Flaky:
    """An app that answers 503 while it is told to."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.failing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = JSONResponse({"message": "unavailable"}, 503) if self.failing else self._app
        await app(scope, receive, send)


class Load:
    """Callers that send, each in its own way, for as long as it is kept up."""

    def __init__(self, url: str, jwt: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, trust_env=False, timeout=20.0)
        self._tokens = {**TOKENS, "ledger": jwt}
        self._entries: dict[str, list[str]] = {tenant: [] for tenant in TENANTS}
        self._running: set[asyncio.Task[None]] = set()

    async def keep_up(self, seconds: float, each_second: Callable[[float], None]) -> None:
        """Sends at a rate that swells and ebbs; says how far it is, from 0 to 1."""
        began = time.monotonic()
        while (past := time.monotonic() - began) < seconds:
            each_second(past / seconds)
            rate = 14 + 7 * math.sin(past / 95) + 3 * math.sin(past / 23) + Pick.uniform(-2, 2)
            for _ in range(max(1, round(rate))):
                task = asyncio.create_task(self._send())
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                await asyncio.sleep(Pick.expovariate(rate))
        await asyncio.gather(*self._running)
        await self._client.aclose()

    async def _send(self) -> None:
        tenant = Pick.choices(TENANTS, (50, 25, 10, 10, 5))[0]
        kind = Pick.choices(
            (self._store, self._fetch, self._list, self._job, self._version, self._mistake),
            (20, 30, 28, 6, 15, 1),
        )[0]
        await kind(tenant)

    async def _ask(self, caller: str, tenant: str, method: str, path: str, body: Any = None) -> int:
        token = self._tokens.get(caller, caller)
        headers = {"authorization": f"Bearer {token}", "x-invopop-tenant": tenant}
        reply = await self._client.request(method, path, headers=headers, json=body)
        return reply.status_code

    async def _store(self, tenant: str) -> None:
        entry = uuid7()
        body = {"data": invoice(), "key": f"picture-{entry[-12:]}"}
        if await self._ask("billing", tenant, "PUT", f"/silo/v1/entries/{entry}", body) < 300:
            self._entries[tenant] = [*self._entries[tenant][-50:], entry]

    async def _fetch(self, tenant: str) -> None:
        entries = self._entries[tenant]
        if entries:
            path = f"/silo/v1/entries/{Pick.choice(entries)}"
            await self._ask(Pick.choice(("billing", "reporting")), tenant, "GET", path)

    async def _list(self, tenant: str) -> None:
        await self._ask("reporting", tenant, "GET", "/silo/v1/entries?limit=5")

    async def _job(self, tenant: str) -> None:
        if entries := self._entries[tenant]:
            body = {"workflow_id": WORKFLOW_ID, "silo_entry_id": entries[-1]}
            await self._ask("billing", tenant, "POST", "/transform/v1/jobs?wait=5", body)

    async def _version(self, _: str) -> None:
        await self._ask("ledger", "acme", "GET", "/access/v1/workspace")

    async def _mistake(self, tenant: str) -> None:
        """What people do wrong."""
        entries = "/silo/v1/entries"
        await Pick.choice(
            (
                lambda: self._ask("reporting", tenant, "POST", entries, {"data": invoice()}),
                lambda: self._ask("igw_mistyped", tenant, "GET", entries),
                lambda: self._ask("ledger", "globex", "GET", entries),
                lambda: self._ask("billing", "hooli", "GET", entries),
            )
        )()


def _settings(upstream: RunningSandbox, folder: Path) -> dict[str, Any]:
    (folder / "sandbox-ca.pem").write_bytes(upstream.ca_pem)
    return {
        "listen": {"port": 0},
        "admin": {"port": 0},
        "upstream": {"url": upstream.url, "ca_file": "sandbox-ca.pem", "ca_only": True},
        "vault": {"strict": False},
        "issuers": [
            {
                "issuer": ISSUER,
                "audience": "invopop-gateway",
                "algorithms": ["RS256"],
                "jwks_file": "jwks.json",
            }
        ],
        "callers": {
            "billing": {
                "tokens": [token_hash(TOKENS["billing"])],
                "tenants": ["acme", "globex*", "initech", "umbrella", "hooli"],
                "issuers": [],
            },
            "reporting": {
                "tokens": [token_hash(TOKENS["reporting"])],
                "tenants": ["*"],
                "allow": ["@read_only"],
                "issuers": [],
            },
            "ledger": {"tenants": ["acme"], "allow": ["access.*", "silo.entries.*"]},
        },
    }


def _vault(sandbox: Sandbox, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Keys of several kinds: files, a variable, one that ends soon, one that is not there."""
    tenants: dict[str, Any] = {}
    for tenant in TENANTS:
        days = 9 if tenant == "globex" else 200
        _write_private(folder / f"{tenant}.key", sandbox.mint_key(tenant, days * DAY))
        tenants[tenant] = {"key": {"file": f"{tenant}.key"}}
    tenants["acme"]["previous"] = {"file": "acme-old.key"}
    _write_private(folder / "acme-old.key", sandbox.mint_key("acme", 40 * DAY))
    tenants["initech"] = {"key": {"env": "INITECH_INVOPOP_KEY"}}
    tenants["hooli"] = {"key": {"env": "HOOLI_INVOPOP_KEY"}}
    # Without Python's development mode, which tests run in: it is slower.
    environ = {"PYTHONDEVMODE": "", "INITECH_INVOPOP_KEY": sandbox.mint_key("initech", 200 * DAY)}
    return {"tenants": tenants}, environ


def _write_private(file: Path, text: str) -> None:
    file.touch(0o600)
    file.write_text(text)


class Run(NamedTuple):
    """One run: how long, and where the picture goes."""

    seconds: float
    picture: Path

    async def __call__(self, folder: Path) -> None:
        """Everything, then the picture."""
        sandbox = Sandbox(TENANTS)
        flaky = Flaky(sandbox.app)
        sandbox.app = flaky
        issuer = Issuer(folder, ISSUER, "invopop-gateway")
        claims = issuer.claims("ledger")
        jwt = issuer.token({**claims, "exp": claims["exp"] + 3600})

        def weather(share: float) -> None:
            flaky.failing = OUTAGE[0] < share < OUTAGE[1]

        async with running(sandbox) as upstream:
            vault, environ = _vault(sandbox, folder)
            gateway = GatewayProcess(folder, _settings(upstream, folder), vault, environ)
            await asyncio.to_thread(gateway.__enter__)
            try:
                await Load(gateway.url, jwt).keep_up(self.seconds, weather)
                await asyncio.to_thread(_take, gateway.admin_url, self.picture)
            finally:
                gateway.kill()


def _take(admin: str, picture: Path) -> None:
    """The picture itself; two others, to be looked at, go to the directory for such files."""
    others = Path(tempfile.gettempdir())
    looks = (
        (picture, "light", 1120, "section:has(#tenants)"),
        (others / "status-page-dark.png", "dark", 1120, "body"),
        (others / "status-page-phone.png", "dark", 390, "body"),
    )
    with Chromium() as browser:
        page = browser.page()
        for file, scheme, width, last in looks:
            page.look_as(scheme=scheme, width=width)
            page.open(f"{admin}/")
            page.picture(file, last)
    if smaller := shutil.which("pngquant"):  # a third of the bytes, and nobody sees a difference
        subprocess.run([smaller, "--force", "--output", picture, "256", picture], check=True)


def main() -> None:
    """Runs for the minutes that the command line asks for."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Run(minutes * 60, PICTURE)(Path(folder)))


if __name__ == "__main__":
    main()
