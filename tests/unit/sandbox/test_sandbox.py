"""Who is let in: keys of a workspace, verified; and workspaces that never see one another."""

import re
import time
from typing import Any

import httpx
import jwt
import pytest

from gateway.invopop.table import OPERATIONS
from gateway.sandbox import samples
from gateway.sandbox.sandbox import ENDPOINTS, Sandbox

PATHS = ("/utils/v1/ping", "/auth/version", "/silo/v1/entries", "/no/such/path", "/")


def _forged(claims: dict[str, Any], secret: str = "x" * 32, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret, algorithm=algorithm)


@pytest.mark.parametrize("path", PATHS)
async def test_no_key_is_401_everywhere(nobody: httpx.AsyncClient, path: str) -> None:
    """Whatever is asked for, without a key: 401, with the bare body that Invopop gives then."""
    reply = await nobody.get(path)
    assert reply.status_code == 401
    assert reply.json() == {"message": "Unauthorized"}
    assert reply.headers["www-authenticate"] == "Bearer"


async def test_wrong_keys_are_401(nobody: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """Forged, unsigned, stale, foreign, revoked, or in another scheme: none of them opens."""
    claims = jwt.decode(sandbox.mint_key("acme"), options={"verify_signature": False})
    revoked = sandbox.mint_key("acme")
    sandbox.revoke(revoked)
    wrong = {
        "no JWT": "Bearer nonsense",
        "none": "Bearer",
        "forged": f"Bearer {_forged(claims)}",
        "unsigned": f"Bearer {_forged(claims, '', 'none')}",
        "stale": f"Bearer {sandbox.mint_key('acme', -60)}",
        "of another sandbox": f"Bearer {Sandbox().mint_key('acme')}",
        "revoked": f"Bearer {revoked}",
        "not Bearer": f"Basic {sandbox.mint_key('acme')}",
    }
    for why, value in wrong.items():
        reply = await nobody.get("/utils/v1/ping", headers={"Authorization": value})
        assert (reply.status_code, reply.json()) == (401, {"message": "Unauthorized"}), why
        assert value not in reply.text, why


def test_a_key_never_expires(sandbox: Sandbox) -> None:
    """As Invopop's own: `exp` is 0, and a scope says what it is for."""
    claims = jwt.decode(
        sandbox.mint_key("acme"), options={"verify_signature": False, "verify_exp": False}
    )
    assert (claims["exp"], claims["scope"]) == (0, "api")


def test_a_key_says_whose_it_is_and_until_when(sandbox: Sandbox) -> None:
    """A key is a JWT with its workspace's id, `iat`, `exp`, and an id of its own."""
    key = sandbox.mint_key("acme", 600)
    claims = jwt.decode(key, options={"verify_signature": False})
    assert claims["sub"] == sandbox.workspaces["acme"].id == Sandbox().workspaces["acme"].id
    assert claims["exp"] - claims["iat"] == 600
    assert abs(claims["iat"] - time.time()) < 60
    assert key != sandbox.mint_key("acme", 600)


async def test_revoking_one_key_leaves_the_others(
    nobody: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    """Two keys of a workspace are valid side by side; a revoked one stops at once."""
    old, new = sandbox.mint_key("acme"), sandbox.mint_key("acme")

    async def status(key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return (await nobody.get("/utils/v1/ping", headers=headers)).status_code

    assert [await status(old), await status(new)] == [200, 200]
    sandbox.revoke(old)
    assert [await status(old), await status(new)] == [401, 200]
    with pytest.raises(ValueError, match="not a valid key"):
        sandbox.revoke(old)


async def test_workspaces_never_see_each_other(
    acme: httpx.AsyncClient, globex: httpx.AsyncClient
) -> None:
    """What one workspace makes is 404 in another, absent from its lists, and its ids are free."""
    entry = (
        await acme.post("/silo/v1/entries", json={"data": samples.invoice(), "key": "k"})
    ).json()
    body = {"workflow_id": samples.WORKFLOW_ID, "silo_entry_id": entry["id"], "key": "k"}
    job = (await acme.post("/transform/v1/jobs?wait=5", json=body)).json()
    pdf = job["attachments"][0]
    series = "0190e5a0-3d3c-4d5e-8f00-000000000001"
    await acme.put(f"/sequence/v1/series/{series}", json={"name": "Sales"})
    spooled = (await acme.post("/silo/v1/spool", json={"data": "aGk="})).json()["key"]
    hidden = (
        f"/silo/v1/entries/{entry['id']}",
        "/silo/v1/entries/key/k",
        f"/silo/v1/entries/{entry['id']}/files/{pdf['id']}",
        f"/silo/v1/entries/{entry['id']}/states",
        f"/transform/v1/jobs/{job['id']}",
        "/transform/v1/jobs/key/k",
        f"/sequence/v1/series/{series}",
        f"/silo/v1/spool/{spooled}",
    )
    for path in hidden:
        assert (await acme.get(path)).status_code == 200, path
        assert (await globex.get(path)).status_code == 404, path
    for path in ("/silo/v1/entries", "/transform/v1/jobs", "/sequence/v1/series"):
        assert (await globex.get(path)).json()["list"] == [], path
    made = await globex.put(
        f"/silo/v1/entries/{entry['id']}", json={"data": samples.invoice(), "key": "k"}
    )
    assert made.status_code == 200
    assert (await globex.post("/transform/v1/jobs", json=body)).status_code == 202


async def test_unknown_paths_are_404(acme: httpx.AsyncClient) -> None:
    """With a key, what is not emulated is 404 in Invopop's error shape."""
    for path in ("/", "/apps/verifactu/v1/entry", "/silo/v1/entries/"):
        reply = await acme.get(path)
        assert (reply.status_code, reply.json()["key"]) == (404, "not-found"), path


async def test_other_methods_are_405(acme: httpx.AsyncClient) -> None:
    """A method that a path does not have is 405, and `Allow` names those it has."""
    reply = await acme.delete("/silo/v1/entries")
    assert (reply.status_code, reply.json()["key"]) == (405, "method-not-allowed")
    assert reply.headers["allow"] == "GET, POST"


async def test_head_is_get_without_a_body(acme: httpx.AsyncClient) -> None:
    """HEAD answers as GET does, body left out."""
    reply = await acme.head("/utils/v1/ping")
    assert (reply.status_code, reply.content) == (200, b"")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not valid JSON"),
        (b"\xff", "the body is not valid JSON"),
        (b"[1]", "the body must be a JSON object"),
        (b'{"key": 7}', "key has the wrong type"),
        (b'{"sign": "yes"}', "sign has the wrong type"),
    ],
    ids=["cut", "no UTF-8", "list", "number", "string"],
)
async def test_malformed_bodies_are_400(acme: httpx.AsyncClient, body: bytes, message: str) -> None:
    """What is no JSON object of the right types is 400, and nothing is made."""
    reply = await acme.post("/silo/v1/entries", content=body)
    assert (reply.status_code, reply.json()) == (400, {"key": "bad-request", "message": message})
    assert (await acme.get("/silo/v1/entries")).json()["list"] == []


async def test_a_body_too_deep_is_400(acme: httpx.AsyncClient) -> None:
    """A document nested deeper than it can be worked on is refused, not a crash."""
    deep: dict[str, Any] = {}
    for _ in range(600):
        deep = {"a": deep}
    reply = await acme.post("/silo/v1/entries", json={"data": samples.invoice() | {"meta": deep}})
    assert (reply.status_code, reply.json()["message"]) == (400, "the body is nested too deeply")


def test_each_route_is_a_known_operation() -> None:
    """The sandbox answers nothing that the table of Invopop's operations does not know."""
    known = {(row.method, re.sub("{.*?}", "{}", row.template)) for row in OPERATIONS}
    for endpoint in ENDPOINTS:
        assert (endpoint.method, re.sub("{.*?}", "{}", endpoint.template)) in known, endpoint
