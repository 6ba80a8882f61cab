"""Version, ping and the UUID generator; and the workspace of the access service."""

import uuid

import httpx
import pytest

from gateway.sandbox.sandbox import Sandbox

DNS = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


async def test_the_version_is_a_json_string(acme: httpx.AsyncClient) -> None:
    """`/auth/version` is what a client decodes into one string."""
    assert (await acme.get("/auth/version")).json() == "v1.0.0"


async def test_ping(acme: httpx.AsyncClient) -> None:
    """Ping is answered with pong."""
    assert (await acme.get("/utils/v1/ping")).json() == {"ping": "pong"}


@pytest.mark.parametrize("version", ["", "1", "4", "7"])
async def test_fresh_uuids(acme: httpx.AsyncClient, version: str) -> None:
    """Versions 1 (the default), 4 and 7 differ each time, and are what they say."""
    path = f"/utils/v1/uuid?v={version}"
    replies = [(await acme.get(path)).json() for _ in range(2)]
    assert replies[0]["uuid"] != replies[1]["uuid"]
    for reply in replies:
        assert reply["version"] == (version or "1")
        assert str(uuid.UUID(reply["uuid"]).version) == reply["version"]


@pytest.mark.parametrize(("version", "make"), [("3", uuid.uuid3), ("5", uuid.uuid5)])
async def test_named_uuids(acme: httpx.AsyncClient, version: str, make: object) -> None:
    """Versions 3 and 5 follow from base and key."""
    reply = await acme.get(f"/utils/v1/uuid?v={version}&base={DNS}&key=1001")
    assert callable(make)
    assert reply.json()["uuid"] == str(make(uuid.UUID(DNS), "1001"))


@pytest.mark.parametrize("query", ["v=2", "v=x", "v=5", "v=5&base=x&key=k", f"v=3&base={DNS}"])
async def test_what_no_uuid_can_be_made_of(acme: httpx.AsyncClient, query: str) -> None:
    """Another version, or a base or key that is missing or wrong, is 400."""
    reply = await acme.get(f"/utils/v1/uuid?{query}")
    assert (reply.status_code, reply.json()["key"]) == (400, "bad-request")


async def test_the_workspace_is_that_of_the_key(
    acme: httpx.AsyncClient, globex: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    """Each key shows its own workspace, whose id can be pinned."""
    for client, slug in ((acme, "acme"), (globex, "globex")):
        workspace = (await client.get("/access/v1/workspace")).json()
        assert (workspace["slug"], workspace["sandbox"]) == (slug, True)
        assert workspace["id"] == sandbox.workspaces[slug].id


async def test_the_workspace_can_be_renamed(acme: httpx.AsyncClient) -> None:
    """PATCH changes what it names; a blank name is 422."""
    changed = await acme.patch("/access/v1/workspace", json={"name": "Acme GmbH"})
    assert changed.json()["name"] == "Acme GmbH"
    assert (await acme.get("/access/v1/workspace")).json() == changed.json()
    blank = await acme.patch("/access/v1/workspace", json={"name": " "})
    assert (blank.status_code, blank.json()["fields"]) == (422, {"name": "cannot be blank"})


def test_a_workspace_can_be_added_once(sandbox: Sandbox) -> None:
    """Tests may add workspaces; two of the same slug would share an id."""
    sandbox.add_workspace("initech")
    with pytest.raises(ValueError, match="exists"):
        sandbox.add_workspace("initech")
