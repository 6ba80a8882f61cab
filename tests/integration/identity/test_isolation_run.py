"""Many callers, many tenants, all at once: no request ever goes out under another tenant's key.

Runs for some seconds; `ISOLATION_REQUESTS=100000` in the environment asks for so many instead.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from tests.support.certificates import Authority, server_context
from tests.support.concurrent_callers import Line
from tests.support.gateway import GatewayProcess, token_hash, tracebacks, write_toml
from tests.support.identity_world import UNOBSERVED
from tests.support.jwt import Issuer
from tests.support.recording_origin import RecordingOrigin
from tests.support.world import AUDIENCE, ISSUER

CALLERS, TENANTS, CONNECTIONS, SEED = 200, 50, 64, 20_270_131
SECONDS = 8.0
WANTED = int(os.environ.get("ISOLATION_REQUESTS", "0"))

Rights = list[list[str]]


def rights() -> Rights:
    """The tenants of each caller: from one to ten of them."""
    chance = random.Random(SEED)
    names = [f"t{number}" for number in range(TENANTS)]
    return [chance.sample(names, chance.choice([1, 1, 2, 5, 10])) for _ in range(CALLERS)]


def credentials(issuer: Issuer) -> list[str]:
    """What each caller shows: an opaque token, or every second one a JSON Web Token."""
    return [
        issuer.token(issuer.claims(f"c{caller}")) if _by_jwt(caller) else _opaque(caller)
        for caller in range(CALLERS)
    ]


def _by_jwt(caller: int) -> bool:
    return caller % 2 == 1


def _opaque(caller: int) -> str:
    return f"igw_token-of-caller-{caller:03}"


def settings(origin: str, ca_file: Path, issuer: Issuer, rights: Rights) -> dict[str, Any]:
    """A gateway for all of them, whose circuit never opens."""
    proofs: list[dict[str, Any]] = [
        {"issuers": [ISSUER]} if _by_jwt(caller) else
        {"issuers": [], "tokens": [token_hash(_opaque(caller))]}
        for caller in range(CALLERS)
    ]  # fmt: skip
    callers = {
        f"c{number}": {**proofs[number], "tenants": tenants}
        for number, tenants in enumerate(rights)
    }
    return {
        "issuers": [{"issuer": ISSUER, "audience": AUDIENCE, "algorithms": ["RS256"],
                     "jwks_file": str(issuer.jwks_file)}],
        "listen": {"port": 0},
        "admin": {"port": 0},
        "upstream": {"url": f"https://{origin}", "ca_file": str(ca_file), "ca_only": True,
                     "circuit_failure_ratio": 0},
        "callers": callers,
        "log": {"sample_success": 0.0},
    }  # fmt: skip


def vault(version: int) -> dict[str, Any]:
    """Every tenant's key, which names its tenant."""
    names = (f"t{number}" for number in range(TENANTS))
    return {"tenants": {n: {"key": {"value": f"key-of-{n}-v{version}"}} for n in names}}


class Run:
    """The callers' side: what was asked, and what came of it."""

    def __init__(self, port: int, rights: Rights, credentials: list[str]) -> None:
        self.outcomes: Counter[str] = Counter()
        self.mixed_up: list[str] = []
        self._port = port
        self._rights = rights
        self._credentials = credentials
        self._until = time.monotonic() + (600 if WANTED else SECONDS)

    @property
    def asked(self) -> int:
        """Requests sent so far."""
        return sum(self.outcomes.values())

    def going_on(self) -> bool:
        """Whether more are wanted."""
        return time.monotonic() < self._until and not 0 < WANTED <= self.asked

    async def work(self, number: int) -> None:
        """One connection, over which any caller may come, one after the other."""
        chance = random.Random(SEED + number)
        line = Line(self._port)
        while self.going_on():
            await self._ask(line, chance)
        line.leave()

    async def _ask(self, line: Line, chance: random.Random) -> None:
        caller = chance.randrange(CALLERS)
        own = self._rights[caller]
        tenant = f"t{chance.randrange(TENANTS)}" if chance.random() < 0.1 else chance.choice(own)
        method = chance.choice(["GET", "GET", "GET", "HEAD", "PUT", "POST", "DELETE"])
        target = f"/{tenant}/{caller}/{chance.random()}"
        body = target if method in {"PUT", "POST"} else ""
        raw = (
            f"{method} {target} HTTP/1.1\r\nHost: gw\r\n"
            f"Authorization: Bearer {self._credentials[caller]}\r\n"
            f"X-Invopop-Tenant: {tenant}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        if chance.random() < 0.03:
            self.outcomes["left"] += 1
            await line.send_and_leave(raw)
            return
        try:
            reply = await line.ask(raw)
        except (asyncio.IncompleteReadError, OSError):
            self.outcomes["cut"] += 1
            line.leave()
            return
        self.outcomes[str(reply.status)] += 1
        allowed = tenant in own
        wrong_body = reply.status == 200 and method != "HEAD" and reply.body != target.encode()
        if wrong_body or (reply.status == 403) == allowed:
            self.mixed_up.append(f"{method} {target}: {reply.status} {reply.body!r}")


async def reload(gateway: GatewayProcess) -> None:
    """Rotates all keys, and asks for a reload in between, for as long as it may."""
    path, version = gateway.directory / "vault.toml", 1
    while True:
        await asyncio.sleep(0.7)  # the pace of reloads
        version += 1
        fresh = write_toml(path.with_suffix(".new"), vault(version))
        fresh.replace(path)
        await asyncio.sleep(0.7)
        gateway.signal(signal.SIGHUP)


async def run(directory: Path) -> tuple[Run, RecordingOrigin, GatewayProcess]:
    """Starts everything, lets it run, and waits until the origin's record is complete."""
    authority = Authority(directory)
    context = server_context(authority.certificate("localhost"))
    issuer, allowed = Issuer(directory, ISSUER, AUDIENCE), rights()
    async with RecordingOrigin(context, SEED) as origin:
        made = settings(origin.authority, authority.ca_file, issuer, allowed)
        gateway = GatewayProcess(directory, made, vault(1), UNOBSERVED)
        await asyncio.to_thread(gateway.__enter__)
        try:
            crowd = Run(gateway.port, allowed, credentials(issuer))
            reloading = asyncio.ensure_future(reload(gateway))
            async with asyncio.TaskGroup() as group:
                for number in range(CONNECTIONS):
                    group.create_task(crowd.work(number))
            reloading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reloading
            assert await asyncio.to_thread(gateway.stop) == 0
        finally:
            await asyncio.to_thread(gateway.kill)
    return crowd, origin, gateway


def test_no_request_under_another_tenants_key(tmp_path: Path) -> None:
    """Case 161: 200 callers of 50 tenants, some leaving, with retries, failures and reloads."""
    started = time.monotonic()
    crowd, origin, gateway = uvloop.run(run(tmp_path))
    seconds = time.monotonic() - started
    told = f"{crowd.asked} requests in {seconds:.0f} s: {dict(crowd.outcomes)}"
    print(told, f"{origin.seen} seen, {origin.failed} failed, {len(origin.versions)} keys")  # noqa: T201
    assert origin.wrong == []
    assert crowd.mixed_up == []
    # It was a run worth the name: every tenant, every kind of trouble, several reloads.
    assert crowd.asked >= max(WANTED, 500)
    assert len(origin.tenants) == TENANTS
    assert len(origin.versions) >= 3
    assert min(crowd.outcomes[kind] for kind in ("200", "403", "left")) > 10
    assert origin.failed > 10
    assert set(crowd.outcomes) <= {"200", "403", "502", "503", "left", "cut"}
    lines = gateway.lines()
    assert not tracebacks(lines)
    assert "key-of-" not in "\n".join(lines)
    reloads = [event["outcome"] for event in gateway.events("config_reload")]
    assert len(reloads) >= 3
    assert set(reloads) == {"success"}
