"""Key-set storm: making the proxy hammer its own issuer.

The attacker needs no account: they send tokens that name a signing key nobody knows, a new one each
time. A verifier that asks the issuer for every unknown `kid` sends one request for each of theirs,
is rate-limited or takes the issuer down, and then nobody's token can be verified (CWE-770,
CWE-405).

PyJWT's `PyJWKClient` fetches for every unknown `kid`, and blocks meanwhile. The gateway fetches
once for all who wait, then at most once per cool-down, and remembers what it did not find; valid
tokens need no fetch and do not feel the storm.

Cases 153 and 155.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority, server_context
from tests.support.concurrent_callers import ask_all
from tests.support.gateway import eventually
from tests.support.identity_world import NO_ISSUERS, UNOBSERVED
from tests.support.jwt import Issuer
from tests.support.key_server import JWKS, KeyServer
from tests.support.world import AUDIENCE, World, request

NAME = "https://id.remote"
COOL_DOWN = 10  # seconds between two fetches for unknown keys


@pytest.fixture
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """Whose keys are published."""
    return Issuer(tmp_path_factory.mktemp("issuer"), NAME, AUDIENCE)


@pytest.fixture
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The CA of the issuer's server."""
    return Authority(tmp_path_factory.mktemp("issuer-ca"), "issuer-ca")


@pytest.fixture
def server(authority: Authority, issuer: Issuer) -> Iterator[KeyServer]:
    """The issuer's server, with its keys."""
    made = KeyServer(server_context(authority.certificate("localhost")))
    made.put(JWKS, issuer.jwks())
    yield made
    made.close()


def token(issuer: Issuer) -> str:
    """A lawful token, different each time."""
    return issuer.token(issuer.claims("remote", jti=time.monotonic_ns()))


def changes(server: KeyServer, authority: Authority) -> dict[str, Any]:
    """A caller that is known by tokens of that issuer."""
    trusted = {
        "issuer": NAME, "audience": AUDIENCE, "algorithms": ["RS256"],
        "jwks_url": server.url + JWKS, "jwks_ca_file": str(authority.ca_file),
    }  # fmt: skip
    remote = {"issuers": [NAME], "tenants": ["acme"]}
    return {"issuers": [trusted], "callers": {**NO_ISSUERS, "remote": remote}}


async def test_herd_and_storm(
    tmp_path: Path, server: KeyServer, authority: Authority, issuer: Issuer
) -> None:
    """500 first requests wait for one fetch; 10,000 unknown keys cost one per cool-down at most."""
    lawful = [request("GET /x", token=token(issuer)) for _ in range(500)]
    with ExitStack() as stack:
        with server.stalling():
            made = World(tmp_path, changes(server, authority), environ=UNOBSERVED)
            world = stack.enter_context(made)
            herd = asyncio.ensure_future(ask_all(world.gateway.port, lawful, 500))
            await asyncio.to_thread(eventually, lambda: world.gateway.open_files() > 500, 30)
            assert server.fetches() == 1
        assert [answer.status for answer in await herd] == [200] * 500
        assert server.fetches() == 1
        assert world.gateway.metric("jwks_refresh_total", outcome="success") == 1

        started = time.monotonic()
        answered = await ask_all(world.gateway.port, storm(issuer, lawful[0]), 16)
        seconds = time.monotonic() - started
        assert sorted(a.status for a in answered) == [200] * 500 + [401] * 10_000
        assert server.fetches() <= 1 + 1 + seconds // COOL_DOWN
        assert sorted(a.seconds for a in answered if a.status == 200)[-10] < 1


def storm(issuer: Issuer, lawful: bytes) -> list[bytes]:
    """10,000 requests that name keys which nobody knows, with 500 lawful ones among them."""
    claims, header = issuer.claims("remote"), {"alg": "RS256"}
    mixed = []
    for number in range(10_000):
        unknown = issuer.forged({**header, "kid": f"no-{number}"}, claims, lambda _: b"x" * 256)
        mixed.append(request("GET /x", token=unknown))
        mixed += [lawful] if number % 20 == 0 else []
    return mixed
