"""An issuer's shared secret in a real OpenBao that is down at first, and is rotated later."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import GatewayProcess, eventually, run
from tests.support.identity_world import NO_ISSUERS
from tests.support.jwt import compact, hs256
from tests.support.openbao import ROOT, OpenBaoServer
from tests.support.world import AUDIENCE, ENVIRON, TOK_A, World

NAME = "https://id.stored"
FIRST = "sentinel-shared-secret-in-a-store-first-1"
SECOND = "sentinel-shared-secret-in-a-store-second"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Not started yet; `stored` is known by tokens of an issuer whose secret OpenBao holds."""
    server = OpenBaoServer()
    issuer = {
        "issuer": NAME, "audience": AUDIENCE, "algorithms": ["HS256"], "jwks_refresh": 0.25,
        "secret": {"openbao": "secret/issuers/id", "field": "hmac"},
    }  # fmt: skip
    stored = {"issuers": [NAME], "tenants": ["acme"]}
    table = {"url": server.url, "timeout": 30.0, "token": {"env": "TEST_BAO_TOKEN"}}
    changes = {"issuers": [issuer], "callers": {**NO_ISSUERS, "stored": stored},
               "vault": {"openbao": table}}  # fmt: skip
    made = World(tmp_path, changes, environ={"TEST_BAO_TOKEN": ROOT})
    made.constants["bao"] = server
    yield made
    made.origin.hang_up()


def token(secret: str) -> str:
    """A token of `stored`, different each time."""
    now = time.time()
    claims = {"iss": NAME, "aud": AUDIENCE, "sub": "stored", "iat": now, "exp": now + 600,
              "jti": time.monotonic_ns()}  # fmt: skip
    return compact(b'{"alg":"HS256"}', json.dumps(claims).encode(), hs256(secret.encode()))


def ready(gateway: GatewayProcess) -> int:
    """The status of `/readyz`."""
    return gateway.admin("/readyz")[0]


def reasons(gateway: GatewayProcess) -> set[str]:
    """Why reads of the secret failed."""
    return {record.get("reason", "") for record in gateway.events("jwks_refresh")}


def test_away_at_first_then_rotated(world: World) -> None:
    """No start waits for the store; its secret is believed once it comes, and until it changes."""
    server: OpenBaoServer = world.constants["bao"]
    with world:
        started = time.monotonic()
        assert world.get("/x", token=token(FIRST)).status == 401
        assert time.monotonic() - started < 4
        eventually(lambda: ready(world.gateway) == 200)
        assert world.get("/x", token=TOK_A).status == 200
        with server:
            server.write("issuers/id", hmac=FIRST)
            old = token(FIRST)
            eventually(lambda: world.get("/x", token=old).status == 200)
            server.write("issuers/id", hmac=SECOND)
            eventually(lambda: world.get("/x", token=old).status == 401)
            assert world.get("/x", token=token(SECOND)).status == 200
            server.write("issuers/id", hmac="too-short")
            seen = world.gateway.metric("jwks_refresh_total", outcome="failure")
            eventually(lambda: world.gateway.metric("jwks_refresh_total", outcome="failure") > seen)
            assert world.get("/x", token=token(SECOND)).status == 200
        eventually(lambda: {"unavailable", "weak_secret"} <= reasons(world.gateway))
        pages = [
            world.gateway.admin(p)[1].decode() for p in ("/readyz", "/metrics", "/", "/status")
        ]
        told = "\n".join([*world.gateway.lines(), *pages])
        assert not [secret for secret in (FIRST, SECOND, ROOT, "too-short") if secret in told]


def test_a_store_that_hangs(world: World) -> None:
    """Readiness waits for the first answer; a request for 2 s, and is 401 then."""
    server: OpenBaoServer = world.constants["bao"]
    with server:
        server.write("issuers/id", hmac=FIRST)
        server.freeze()
        try:
            with world:
                assert ready(world.gateway) == 503
                started = time.monotonic()
                assert world.get("/x", token=token(FIRST)).status == 401
                assert 1.5 < time.monotonic() - started < 4
                server.thaw()
                eventually(lambda: ready(world.gateway) == 200)
                assert world.get("/x", token=token(FIRST)).status == 200
        finally:
            server.thaw()


def test_check_tells_of_a_secret_that_cannot_be_had(world: World) -> None:
    """`check` reads stores: a secret that is missing is a warning, as a tenant's key is."""
    server: OpenBaoServer = world.constants["bao"]
    warning = f"issuer {NAME}: its secret is unavailable now"
    command = ["check", "--config", str(world.gateway.config)]
    environ = {**ENVIRON, "TEST_BAO_TOKEN": ROOT}
    code, output = run(command, environ)
    assert (code, warning in output) == (0, True), output
    with server:
        server.write("issuers/id", hmac=FIRST)
        code, output = run(command, environ)
    assert (code, warning in output) == (0, False), output
    assert FIRST not in output
