"""Remote keys end to end: an authenticator and a TLS server that rotates its keys, and dies."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import CallerError
from gateway.events import Event, JwksRefreshed
from gateway.identity import jwks
from gateway.identity.authenticator import Authenticator, SigningKeyNeeded
from gateway.model import Caller
from gateway.settings.schema import Settings
from tests.support.certificates import Authority
from tests.support.identities import AUDIENCE, bearer, build, inbound
from tests.support.jwks import STALL, JwksServer, running, until
from tests.support.jwt import Issuer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The issuer's own CA."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def server(authority: Authority, issuer: Issuer) -> AsyncIterator[JwksServer]:
    """A server that publishes the issuer's keys at `/jwks`."""
    made = JwksServer(authority)
    async with made.listening():
        made.put("/jwks", json.dumps(issuer.jwks()).encode())
        yield made


def settings_of(server: JwksServer, issuer: Issuer) -> Settings:
    """One issuer with remote keys."""
    return Settings.model_validate(
        {
            "issuers": (
                {"issuer": issuer.name, "audience": AUDIENCE, "algorithms": ("RS256", "ES256"),
                 "jwks_url": f"{server.url}/jwks", "jwks_ca_file": server.ca_file},
            ),
            "callers": {"billing": {}},
        }
    )  # fmt: skip


async def ask(gate: Authenticator, token: str, now: float) -> Caller:
    """What the pipeline does: authenticate, fetch if that may help, authenticate again."""
    try:
        return gate.authenticate(inbound(), bearer(token), now)
    except SigningKeyNeeded as needed:
        await gate.fetch_keys(needed)
        return gate.authenticate(inbound(), bearer(token), now)


async def test_case_155_first_requests(server: JwksServer, issuer: Issuer) -> None:
    """Case 155: 500 first requests at once are all let in by one fetch over the wire."""
    claims = issuer.claims("billing")
    gate = build(settings_of(server, issuer))
    async with running(gate.run):
        asked = [ask(gate, issuer.token(claims), claims["iat"]) for _ in range(500)]
        callers = await asyncio.gather(*asked)
    assert {caller.name for caller in callers} == {"billing"}
    assert len(server.requests) == 1


@pytest.mark.parametrize(("field", "due"), [("Cache-Control: max-age=60", 60), ("X: y", 300)])
async def test_freshness(
    server: JwksServer, issuer: Issuer, monkeypatch: pytest.MonkeyPatch, field: str, due: float
) -> None:
    """What the server says of its keys' age decides when they are asked for again."""
    monkeypatch.setattr(jwks, "_jittered", lambda seconds: seconds)
    server.put("/jwks", json.dumps(issuer.jwks()).encode(), "200 OK", field)
    (keys,) = build(settings_of(server, issuer)).remote
    await keys.refresh()
    assert due - 5 < keys._due - time.monotonic() <= due


async def test_first_request_during_a_reload(server: JwksServer, issuer: Issuer) -> None:
    """A reload in the midst of the first fetch: the request that waits for it is let in."""
    claims = issuer.claims("billing")
    document, server.replies["/jwks"] = server.replies["/jwks"], STALL
    old, new = build(settings_of(server, issuer)), build(settings_of(server, issuer))
    token, now = bearer(issuer.token(claims)), claims["iat"]
    with pytest.raises(SigningKeyNeeded) as needed:
        old.authenticate(inbound(), token, now)
    async with running(old.run):
        waiting = asyncio.create_task(old.fetch_keys(needed.value))
        await until(lambda: len(server.requests) == 1)
        new.adopt(old)
    server.replies["/jwks"] = document
    async with running(new.run):
        await waiting
    assert new.authenticate(inbound(), token, now).name == "billing"


async def test_rotation_and_death(server: JwksServer, issuer: Issuer, tmp_path: Path) -> None:
    """Case 152: a new key is in, a removed one out at once; a dead server changes nothing."""
    events: list[Event] = []
    gate = build(settings_of(server, issuer), events.append)
    (keys,) = gate.remote
    claims = issuer.claims("billing")
    now = claims["iat"]
    after = Issuer(tmp_path, issuer.name)
    rotated = after.jwks()["keys"]
    rotated[0]["kid"] = "rsa-2"
    new = after.token(claims, headers={"kid": "rsa-2"})
    old = issuer.token(claims)

    await keys.refresh()
    assert gate.authenticate(inbound(), bearer(old), now).name == "billing"
    server.put("/jwks", json.dumps({"keys": rotated}).encode())
    await keys.refresh()
    assert gate.authenticate(inbound(), bearer(new), now).name == "billing"
    with pytest.raises(CallerError) as refused:
        gate.authenticate(inbound(), bearer(old), now)
    assert (refused.value.key, refused.value.cause) == ("unauthenticated", "unknown_key")

    for reply in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"):
        server.replies["/jwks"] = reply
        await keys.refresh()
        assert gate.authenticate(inbound(), bearer(new), now).name == "billing"
    assert gate.issuers() == ((issuer.name, True, False),)
    outcomes = [(e.outcome, e.reason) for e in events if isinstance(e, JwksRefreshed)]
    assert outcomes == [
        ("success", ""), ("success", ""), ("failure", "unreachable"), ("failure", "garbage"),
    ]  # fmt: skip


async def test_dead_server(authority: Authority, issuer: Issuer) -> None:
    """Nobody listens: the refusal is a 401 after one short try, and the next comes at once."""
    dead = JwksServer(authority)
    async with dead.listening():
        pass
    gate = build(settings_of(dead, issuer))
    claims = issuer.claims("billing")
    async with running(gate.run):
        for _ in range(2):
            with pytest.raises(CallerError) as refused:
                await ask(gate, issuer.token(claims), claims["iat"])
            assert refused.value.key == "unauthenticated"
    assert gate.issuers() == ((issuer.name, True, False),)
