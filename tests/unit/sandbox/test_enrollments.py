"""Enrollments: one secret, a short-lived token for each workspace, shown by nobody else."""

import time
from typing import Any

import httpx
import pytest

from gateway.sandbox.sandbox import Sandbox

OWN = "/access/v1/enrollment"
AUTHORIZE = OWN + "/authorize"
BARE = {"message": "Unauthorized"}


def credentials(sandbox: Sandbox, **more: str) -> dict[str, str]:
    """What the application sends, with what names the workspace."""
    application = sandbox.application
    return {
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        **more,
    }


async def authorized(client: httpx.AsyncClient, sandbox: Sandbox, slug: str) -> Any:
    """The enrollment of the workspace with that slug, token included."""
    body = credentials(sandbox, owner_id=sandbox.workspaces[slug].id)
    reply = await client.post(AUTHORIZE, json=body)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def test_a_token_opens_its_workspace(nobody: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """No key is needed to get one, and it says whose it is, and until when (Unix seconds)."""
    workspace = sandbox.workspaces["globex"]
    made = await authorized(nobody, sandbox, "globex")
    assert (made["owner_id"], made["sandbox"], made["disabled"]) == (workspace.id, True, False)
    assert 0 < made["token_expires"] - time.time() <= sandbox.token_seconds + 1
    headers = {"Authorization": f"Bearer {made['token']}"}
    shown = (await nobody.get("/access/v1/workspace", headers=headers)).json()
    assert shown["id"] == workspace.id
    by_id = await nobody.post(AUTHORIZE, json=credentials(sandbox, id=made["id"]))
    by_token = await nobody.post(AUTHORIZE, json=credentials(sandbox), headers=headers)
    assert by_id.json()["owner_id"] == by_token.json()["owner_id"] == workspace.id


async def test_a_token_ends(nobody: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """Tests may shorten its life at any time; afterwards it opens nothing."""
    sandbox.token_seconds = -1
    made = await authorized(nobody, sandbox, "acme")
    headers = {"Authorization": f"Bearer {made['token']}"}
    reply = await nobody.get("/utils/v1/ping", headers=headers)
    assert (reply.status_code, reply.json()) == (401, BARE)


@pytest.mark.parametrize("wrong", ["client_id", "client_secret"])
async def test_a_wrong_secret_is_401(
    nobody: httpx.AsyncClient, sandbox: Sandbox, wrong: str
) -> None:
    """As for a wrong key, and no workspace is named by it."""
    body = credentials(sandbox, owner_id=sandbox.workspaces["acme"].id) | {wrong: "é"}
    reply = await nobody.post(AUTHORIZE, json=body)
    assert (reply.status_code, reply.json()) == (401, BARE)


async def test_who_is_not_enrolled(nobody: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """404, as for a workspace that is not there; 422 if none is named."""
    stranger = sandbox.add_workspace("initech", enrolled=False)
    for owner in (stranger.id, "00000000-0000-4000-8000-000000000000"):
        reply = await nobody.post(AUTHORIZE, json=credentials(sandbox, owner_id=owner))
        assert (reply.status_code, reply.json()["key"]) == (404, "not-found")
    assert (await nobody.post(AUTHORIZE, json=credentials(sandbox))).status_code == 422


async def test_a_disabled_enrollment_has_no_token(
    nobody: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    """It is shown as disabled; tokens that it had open nothing any more."""
    token = (await authorized(nobody, sandbox, "acme"))["token"]
    enrollment = sandbox.workspaces["acme"].enrollment
    assert enrollment is not None
    enrollment.disabled = True
    shown = await authorized(nobody, sandbox, "acme")
    assert (shown["disabled"], shown["token"], shown["token_expires"]) == (True, "", 0)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await nobody.get("/utils/v1/ping", headers=headers)).status_code == 401


@pytest.mark.parametrize(("method", "name"), [("PATCH", "data"), ("POST", "Data")])
async def test_its_data_can_be_changed(
    application: httpx.AsyncClient, method: str, name: str
) -> None:
    """By the application alone: as described, and as the Go client does it."""
    changed = await application.request(method, OWN, json={name: {"a": 1}})
    assert (changed.status_code, changed.json()["data"]) == (200, {"a": 1})
    assert (await application.get(OWN)).json() == changed.json()


async def test_keys_are_not_tokens(acme: httpx.AsyncClient) -> None:
    """A workspace's API key has no enrollment, cannot make one, and is no user's token."""
    assert (await acme.get(OWN)).status_code == 403
    assert (await acme.put(f"{OWN}/01950020-daef-7d75-b1ba-33e7e392a658")).status_code == 403
    reply = await acme.get("/access/v1/orgs")
    assert (reply.status_code, reply.json()) == (401, BARE)
