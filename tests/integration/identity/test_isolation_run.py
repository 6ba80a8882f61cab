"""Many callers, many tenants, all at once: no request ever goes out under another tenant's key.

Invopop fails, and refuses requests (401) whose key is good, while a tenant's other key may be
revoked. All keys are rotated again and again, also between a request's head and its body. Runs for
some seconds; `ISOLATION_REQUESTS=100000` in the environment asks for so many instead.
"""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop

from tests.support.certificates import Authority, server_context
from tests.support.concurrent_callers import Answered, Line
from tests.support.gateway import GatewayProcess, token_hash, tracebacks, write_toml
from tests.support.identity_world import UNOBSERVED
from tests.support.jwt import Issuer
from tests.support.recording_origin import RecordingOrigin
from tests.support.world import AUDIENCE, ISSUER

CALLERS, TENANTS, CONNECTIONS, SEED = 200, 50, 64, 20_270_131
SECONDS = 8.0
KINDS = {"200", "401", "403", "502", "503", "left", "cut"}
WANTED = int(os.environ.get("ISOLATION_REQUESTS", "0"))

Rights = list[list[str]]


def rights() -> Rights:
    """The tenants of each caller: from one to ten of them."""
    chance = random.Random(SEED)
    names = [f"t{number}" for number in range(TENANTS)]
    return [chance.sample(names, chance.choice([1, 1, 2, 5, 10])) for _ in range(CALLERS)]


def credentials(issuer: Issuer) -> list[str]:
    """What each caller shows: an opaque token, or every second one a JSON Web Token."""
    ends = int(time.time()) + 7200
    return [
        issuer.token(issuer.claims(f"c{caller}", exp=ends)) if _by_jwt(caller) else _opaque(caller)
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
        "listen": {"port": 0, "body_timeout": 60.0},  # some bodies wait for a reload
        "admin": {"port": 0},
        "upstream": {"url": f"https://{origin}", "ca_file": str(ca_file), "ca_only": True,
                     "circuit_failure_ratio": 0},
        "callers": callers,
        "log": {"sample_success": 0.0},
    }  # fmt: skip


def vault(version: int) -> dict[str, Any]:
    """Every tenant's keys, which name their tenant; every second one's `previous` is revoked."""
    return {
        "tenants": {
            f"t{n}": {
                "key": {"value": f"key-of-t{n}-v{version}"},
                "previous": {"value": f"key-of-t{n}-v{0 if n % 2 else version - 1}"},
            }
            for n in range(TENANTS)
        }
    }


class Run:
    """The callers' side: what was asked, and what came of it."""

    def __init__(
        self, port: int, rights: Rights, credentials: list[str], oldest: dict[bytes, int]
    ) -> None:
        self.outcomes: Counter[str] = Counter()
        self.mixed_up: list[str] = []
        self.across = 0  # requests whose body followed after a rotation
        self.version = 1  # of the keys that are in force for certain
        self.rotated = asyncio.Event()
        self._oldest = oldest
        self._port = port
        self._rights = rights
        self._credentials = credentials
        self._until = time.monotonic() + (3600 if WANTED else SECONDS)

    @property
    def asked(self) -> int:
        """Requests sent so far."""
        return sum(self.outcomes.values())

    def going_on(self) -> bool:
        """Whether more are wanted: also until keys were rotated twice, however busy the machine."""
        enough = time.monotonic() >= self._until or 0 < WANTED <= self.asked
        return self.version < 3 or not enough

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
            if body and chance.random() < 0.03:
                reply = await self._ask_across_a_rotation(line, raw, target)
            else:
                reply = await line.ask(raw)
        except (asyncio.IncompleteReadError, OSError):
            self.outcomes["cut"] += 1
            line.leave()
            return
        self.outcomes[str(reply.status)] += 1
        allowed = tenant in own
        wrong_body = reply.status == 200 and method != "HEAD" and reply.body != target.encode()
        ours = b"key_rejected" in reply.head or b"unauthenticated" in reply.head
        if wrong_body or ours or (reply.status == 403) == allowed:
            self.mixed_up.append(f"{method} {target}: {reply.status} {reply.body!r}")

    async def _ask_across_a_rotation(self, line: Line, raw: bytes, target: str) -> Answered:
        """The body follows once other keys are in force than when the head was sent."""

        async def until_rotated() -> None:
            await self.rotated.wait()
            newest = self.version if _has_revoked_key(target) else self.version - 1
            self._oldest[target.encode()] = newest
            self.across += 1

        head, end, body = raw.partition(b"\r\n\r\n")
        try:
            return await line.ask_in_parts(head + end, body, until_rotated)
        finally:
            self._oldest.pop(target.encode(), None)


def _has_revoked_key(target: str) -> bool:
    return int(target.split("/")[1].removeprefix("t")) % 2 == 1


async def rotate(gateway: GatewayProcess, crowd: Run) -> None:
    """Rotates all keys, and asks for a reload in between, until it is cancelled."""
    path, version = gateway.directory / "vault.toml", 1
    while True:
        version += 1
        fresh = write_toml(path.with_suffix(".new"), vault(version))
        await reloaded(gateway, lambda: fresh.replace(path))  # noqa: B023 - called at once
        crowd.version = version
        crowd.rotated.set()
        crowd.rotated.clear()
        await reloaded(gateway, lambda: gateway.signal(signal.SIGHUP))


async def reloaded(gateway: GatewayProcess, cause: Callable[[], object]) -> None:
    """Waits at the pace of reloads, causes one, and returns once it has taken effect."""
    await asyncio.sleep(0.7)
    before = await reloads(gateway)
    cause()
    while await reloads(gateway) == before:
        await asyncio.sleep(0.1)


async def reloads(gateway: GatewayProcess) -> float:
    """How many reloads have taken effect."""
    while True:
        with contextlib.suppress(OSError):  # a scrape of a busy machine may take too long
            return await asyncio.to_thread(
                gateway.metric, "config_reloads_total", outcome="success"
            )


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
            crowd = Run(gateway.port, allowed, credentials(issuer), origin.oldest)
            async with asyncio.TaskGroup() as group:
                rotating = group.create_task(rotate(gateway, crowd))
                await asyncio.wait([group.create_task(crowd.work(n)) for n in range(CONNECTIONS)])
                rotating.cancel()
            assert await asyncio.to_thread(gateway.stop) == 0
        finally:
            await asyncio.to_thread(gateway.kill)
    return crowd, origin, gateway


def test_no_request_under_another_tenants_key(tmp_path: Path) -> None:
    """Case 161: 200 callers of 50 tenants, some leaving, with retries, 401s and rotated keys."""
    started = time.monotonic()
    crowd, origin, gateway = uvloop.run(run(tmp_path))
    seconds = time.monotonic() - started
    told = f"{crowd.asked} requests in {seconds:.0f} s: {dict(crowd.outcomes)}"
    told += f" {crowd.across} across a rotation, {origin.seen} seen, {origin.failed} failed,"
    told += f" {origin.refused} refused, {len(origin.versions)} versions"
    print(told, f"{origin.questions} questions")  # noqa: T201
    assert origin.wrong == []
    assert origin.outdated == []
    assert crowd.mixed_up == []
    # It was a run worth the name: every tenant, every kind of trouble, several reloads.
    assert crowd.asked >= max(WANTED, 500)
    assert len(origin.tenants) == TENANTS
    assert len(origin.versions) >= 3
    assert min(crowd.outcomes[kind] for kind in ("200", "401", "403", "left")) > 10
    assert origin.failed > 10
    assert crowd.across > 1
    assert origin.questions > 0
    assert set(crowd.outcomes) <= KINDS
    lines = gateway.lines()
    assert not tracebacks(lines)
    assert "key-of-" not in "\n".join(lines)
    outcomes = [event["outcome"] for event in gateway.events("config_reload")]
    assert len(outcomes) >= 3
    assert set(outcomes) == {"success"}
