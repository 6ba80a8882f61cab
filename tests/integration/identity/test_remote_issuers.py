"""Keys of remote issuers over TLS: fetched once, rotated, and believed through an outage."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority, server_context
from tests.support.gateway import eventually
from tests.support.identity_world import NO_ISSUERS, Worlds
from tests.support.jwt import Issuer
from tests.support.key_server import DISCOVERY, JWKS, KeyServer
from tests.support.world import AUDIENCE, TOK_A, World

NAME = "https://id.remote"
FAST = {"jwks_refresh": 0.25}


@pytest.fixture
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """Whose keys are published."""
    return Issuer(tmp_path_factory.mktemp("issuer"), NAME, AUDIENCE)


def changes(server: KeyServer, ca: Path, **issuer: Any) -> dict[str, Any]:
    """`remote` is known by tokens of the issuer behind this server; other callers are not."""
    made = {
        "issuer": NAME, "audience": AUDIENCE, "algorithms": ["RS256", "ES256"],
        "jwks_url": server.url + JWKS, "jwks_ca_file": str(ca), **issuer,
    }  # fmt: skip
    settings = {name: value for name, value in made.items() if value is not None}
    remote = {"issuers": [settings["issuer"]], "tenants": ["acme"]}
    return {"issuers": [settings], "callers": {**NO_ISSUERS, "remote": remote}}


def ask(world: World, token: str) -> int:
    """The status of a request that bears this token."""
    return world.get("/x", token=token).status


def refreshes(world: World, outcome: str) -> float:
    """How many fetches ended so."""
    return world.gateway.metric("jwks_refresh_total", outcome=outcome)


def valid(issuer: Issuer, algorithm: str = "RS256", **headers: object) -> str:
    """A token of `remote`, different each time."""
    return issuer.token(issuer.claims("remote", jti=time.monotonic_ns()), algorithm, headers)


@pytest.fixture(scope="module")
def fast(
    tmp_path_factory: pytest.TempPathFactory, issuer_authority: Authority
) -> Iterator[tuple[World, KeyServer]]:
    """A gateway that fetches four times a second, and the server that it asks."""
    server = KeyServer(server_context(issuer_authority.certificate("localhost")))
    server.put(JWKS, {"keys": []})
    made = changes(server, issuer_authority.ca_file, **FAST)
    with World(tmp_path_factory.mktemp("fast"), made) as world:
        yield world, server
    server.close()


def test_rotation(fast: tuple[World, KeyServer], issuer: Issuer, tmp_path: Path) -> None:
    """A new key is believed once it is published; a withdrawn one ends even remembered tokens."""
    world, key_server = fast
    key_server.put(JWKS, issuer.jwks())
    old = valid(issuer)
    eventually(lambda: ask(world, old) == 200)
    new_issuer = Issuer(tmp_path, NAME, AUDIENCE)
    new = new_issuer.token(new_issuer.claims("remote"), headers={"kid": "rsa-2"})
    assert ask(world, new) == 401
    published = new_issuer.jwks()["keys"]
    for key in published:
        key["kid"] = key["kid"].replace("-1", "-2")
    key_server.put(JWKS, {"keys": [*issuer.jwks()["keys"], *published]})
    eventually(lambda: ask(world, new) == 200)
    assert ask(world, old) == 200
    key_server.put(JWKS, {"keys": published})
    eventually(lambda: ask(world, old) == 401)
    assert ask(world, new) == 200


LIES: dict[str, tuple[Any, int, dict[str, str]]] = {
    "garbage": (b"<html>", 200, {}),
    "no keys": ({"keys": []}, 200, {}),
    "another kind of document": ({"issuer": NAME}, 200, {}),
    "keys of no use": ({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "rsa-1"}]}, 200, {}),
    "failure": ({}, 500, {}),
    "redirect": ({}, 302, {"Location": "http://127.0.0.1:1/jwks"}),
    "redirect to a file": ({}, 302, {"Location": "file:///etc/passwd"}),
    "compressed": (b"\x1f\x8b" + bytes(40), 200, {"Content_Encoding": "gzip"}),
    "2 MiB": (b" " * 2**21, 200, {}),
    "deep": (b"[" * 100_000, 200, {}),
}


def test_outage(fast: tuple[World, KeyServer], issuer: Issuer) -> None:
    """Case 152: an issuer that lies, stalls or is gone takes nothing away, and delays nobody."""
    world, key_server = fast
    key_server.put(JWKS, issuer.jwks())
    eventually(lambda: ask(world, valid(issuer)) == 200)
    for body, status, headers in LIES.values():
        seen = refreshes(world, "failure")
        key_server.put(JWKS, body, status, **headers)
        eventually(lambda seen=seen: refreshes(world, "failure") > seen)  # type: ignore[misc]
        assert ask(world, valid(issuer)) == 200
        assert key_server.fetches("/etc/passwd") == 0
    asked = key_server.fetches()
    with key_server.stalling():
        eventually(lambda: key_server.fetches() > asked)
        started = time.monotonic()
        assert ask(world, valid(issuer)) == 200
        assert time.monotonic() - started < 1.9
    with key_server.away():
        seen = refreshes(world, "failure")
        eventually(lambda: refreshes(world, "failure") > seen, 8)
        assert ask(world, valid(issuer, "ES256")) == 200
        status_code, ready = world.gateway.admin("/readyz")
        assert (status_code, b"degraded" in ready) == (200, True), ready
    key_server.put(JWKS, issuer.jwks())
    seen = refreshes(world, "success")
    eventually(lambda: refreshes(world, "success") > seen, 8)
    assert b"degraded" not in world.gateway.admin("/readyz")[1]


def test_an_issuer_that_is_away_at_the_start_and_for_good(
    worlds: Worlds, key_server: KeyServer, issuer_authority: Authority, issuer: Issuer
) -> None:
    """Others are served all the while; its tokens when it is there and until its grace is over."""
    key_server.put(JWKS, issuer.jwks())
    token = valid(issuer)
    with key_server.away():
        world = worlds(changes(key_server, issuer_authority.ca_file, jwks_max_stale=0.5, **FAST))
        assert ask(world, TOK_A) == 200
        assert ask(world, token) == 401
        eventually(lambda: world.gateway.admin("/readyz")[0] == 200)
    eventually(lambda: ask(world, token) == 200)
    with key_server.away():
        eventually(lambda: ask(world, token) == 401)
        assert ask(world, TOK_A) == 200
    eventually(lambda: ask(world, token) == 200)


DOCUMENTS: dict[str, tuple[dict[str, object], int]] = {
    "lawful": ({}, 200),
    "of-another-issuer": ({"issuer": "https://localhost"}, 401),
    "of-nobody": ({"issuer": None}, 401),
    "without-url": ({"jwks_uri": None}, 401),
    "with-urls": ({"jwks_uri": ["x"]}, 401),
    "insecure": ({"jwks_uri": "http://127.0.0.1:1/jwks"}, 401),
    "of-a-file": ({"jwks_uri": "file:///etc/passwd"}, 401),
}


def test_discovery(
    worlds: Worlds, key_server: KeyServer, issuer_authority: Authority, issuer: Issuer
) -> None:
    """OpenID discovery leads to the keys, if the document is that issuer's and names HTTPS.

    And keys from a server that `jwks_ca_file` does not vouch for are never fetched.
    """
    other = issuer.jwks_file.parent / "foreign"
    other.mkdir()
    foreign = Authority(other, "foreign").ca_file
    issuers: list[dict[str, object]] = []
    for name, (document, _) in DOCUMENTS.items():
        url = f"{key_server.url}/{name}"
        lawful = {"issuer": url, "jwks_uri": f"{url}{JWKS}"}
        key_server.put(f"/{name}{DISCOVERY}", {**lawful, **document})
        key_server.put(f"/{name}{JWKS}", issuer.jwks())
        issuers.append(
            {
                "issuer": url,
                "discovery": True,
                "audience": AUDIENCE,
                "algorithms": ["RS256"],
                "jwks_ca_file": str(issuer_authority.ca_file),
            }
        )
    impostor = f"{key_server.url}/impostor"
    issuers.append({**issuers[0], "issuer": impostor, "jwks_ca_file": str(foreign)})
    remote = {"issuers": [one["issuer"] for one in issuers], "tenants": ["acme"]}
    world = worlds({"issuers": issuers, "callers": {**NO_ISSUERS, "remote": remote}})
    for name, (_, status) in DOCUMENTS.items():
        token = issuer.token(issuer.claims("remote", iss=f"{key_server.url}/{name}"))
        assert ask(world, token) == status, name
        assert key_server.fetches(f"/{name}{DISCOVERY}") >= 1
        assert bool(key_server.fetches(f"/{name}{JWKS}")) == (status == 200), name
    assert ask(world, issuer.token(issuer.claims("remote", iss=impostor))) == 401
    assert not key_server.fetches(f"/impostor{DISCOVERY}")
    told = json.dumps(world.gateway.lines())
    assert "passwd" not in told
