"""The access service: the workspace that the key belongs to."""

from typing import Final

from starlette.responses import Response

from gateway.sandbox.calls import Call, Operation
from gateway.sandbox.identifiers import timestamp
from gateway.sandbox.refusals import invalid_field, reply
from gateway.sandbox.store import Json, Workspace


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
    names = ("id", "name", "slug", "country", "created_at", "updated_at")
    return {name: getattr(workspace, name) for name in names} | {"sandbox": True}


OPERATIONS: Final = (
    Operation("GET", "/access/v1/workspace", fetch),
    Operation("PATCH", "/access/v1/workspace", update),
)
