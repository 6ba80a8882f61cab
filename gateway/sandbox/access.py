"""The version, the ping, the UUID generator, and the workspace that a key belongs to."""

import uuid
from typing import Final

from starlette.responses import Response

from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.identifiers import timestamp, uuid7
from gateway.sandbox.refusals import bad_request, invalid_field, reply
from gateway.sandbox.store import Json, Workspace

API_VERSION: Final = "v1.0.0"


async def version(_call: Call) -> Response:
    """GET /auth/version: a JSON string."""
    return reply(API_VERSION)


async def ping(_call: Call) -> Response:
    """GET /utils/v1/ping."""
    return reply({"ping": "pong"})


async def new_uuid(call: Call) -> Response:
    """GET /utils/v1/uuid: version 1 (the default), 3, 4, 5 or 7; 3 and 5 want `base` and `key`."""
    wanted = call.query("v") or "1"
    if wanted in ("3", "5"):
        made = _named(wanted, call.query("base"), call.query("key"))
    elif wanted == "7":
        made = uuid7()
    elif wanted in ("1", "4"):
        made = str(uuid.uuid1() if wanted == "1" else uuid.uuid4())
    else:
        raise bad_request("v must be 1, 3, 4, 5 or 7")
    return reply({"uuid": made, "version": wanted})


def _named(wanted: str, base: str, key: str) -> str:
    try:
        space = uuid.UUID(base)
    except ValueError:
        raise bad_request("base must be a UUID") from None
    if not key:
        raise bad_request("key is required")
    return str(uuid.uuid3(space, key) if wanted == "3" else uuid.uuid5(space, key))


async def fetch(call: Call) -> Response:
    """GET /access/v1/workspace."""
    return reply(_shown(call.workspace))


async def update(call: Call) -> Response:
    """PATCH /access/v1/workspace."""
    body = await call.body({"name": str, "slug": str, "logo_url": str})
    for name in ("name", "slug"):
        if name in body and not body[name].strip():
            raise invalid_field(name, "cannot be blank")
    for name, value in body.items():
        setattr(call.workspace, name, value)
    call.workspace.updated_at = timestamp()
    return reply(_shown(call.workspace))


def _shown(workspace: Workspace) -> Json:
    names = ("id", "name", "slug", "country", "sandbox", "created_at", "updated_at")
    return {name: getattr(workspace, name) for name in names}


ENDPOINTS: Final = (
    Endpoint("GET", "/auth/version", version),
    Endpoint("GET", "/utils/v1/ping", ping),
    Endpoint("GET", "/utils/v1/uuid", new_uuid),
    Endpoint("GET", "/access/v1/workspace", fetch),
    Endpoint("PATCH", "/access/v1/workspace", update),
)
