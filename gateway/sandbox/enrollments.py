"""Enrollments: the sandbox's application in a workspace, and the short-lived tokens it gets there.

Known of this service is only what its description and Invopop's Go client say.
"""

import hmac
from typing import Any, Final

from starlette.responses import Response

from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.identifiers import timestamp
from gateway.sandbox.refusals import forbidden, invalid_field, not_found, reply, unauthorized
from gateway.sandbox.store import Enrollment, Json, Workspace

_AUTHORIZE: Final = {"client_id": str, "client_secret": str, "owner_id": str, "id": str}


async def authorize(call: Call) -> Response:
    """POST /access/v1/enrollment/authorize: a token for the application in one workspace.

    The workspace is the one of `owner_id`, of the enrollment `id`, or of the token in the head.
    """
    body = await call.body(_AUTHORIZE)
    application = call.state.application
    shown = (body.get("client_id", ""), body.get("client_secret", ""))
    known = (application.client_id, application.client_secret)
    if not all(
        hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(shown, known, strict=True)
    ):
        raise unauthorized()
    workspace = _wanted(call, body)
    if workspace is None or workspace.enrollment is None:
        raise not_found("enrollment")
    token = ""
    if not workspace.enrollment.disabled:
        token = call.state.signer.mint(workspace.id, call.state.token_seconds, "enrolled")
    return reply(_shown(call, workspace, workspace.enrollment, token))


def _wanted(call: Call, body: Json) -> Workspace | None:
    if body.get("owner_id"):
        return call.state.by_id.get(body["owner_id"].lower())
    if body.get("id"):
        every = call.state.by_id.values()
        wanted = body["id"].lower()
        return next((w for w in every if w.enrollment and w.enrollment.id == wanted), None)
    if call.opened is None:
        raise invalid_field("owner_id", "cannot be blank without an id or a token")
    return call.opened


async def fetch(call: Call) -> Response:
    """GET /access/v1/enrollment: that of the token shown."""
    return reply(_shown(call, call.workspace, _own(call), call.key))


async def update(call: Call) -> Response:
    """PATCH (or POST, as the Go client does) /access/v1/enrollment: its `data`."""
    # The Go client's structure names no JSON member, so `Data` is what arrives.
    body: dict[str, Any] = await call.body({"data": object, "Data": object})
    enrollment = _own(call)
    enrollment.data = body.get("data", body.get("Data"))
    enrollment.updated_at = timestamp()
    return reply(_shown(call, call.workspace, enrollment, call.key))


async def create(_call: Call) -> Response:
    """PUT /access/v1/enrollment/{id}: only a user may, by an OAuth token; here are none."""
    raise forbidden("an enrollment is created with a user's OAuth token")


async def organizations(_call: Call) -> Response:
    """GET /access/v1/orgs: only for a user's OAuth token, so every key is refused."""
    raise unauthorized()


def _own(call: Call) -> Enrollment:
    enrollment = call.workspace.enrollment
    if enrollment is None:
        raise not_found("enrollment")
    return enrollment


def _shown(call: Call, workspace: Workspace, enrollment: Enrollment, token: str) -> Json:
    claims = call.state.signer.read(token) if token else None
    return {
        "id": enrollment.id,
        "created_at": enrollment.created_at,
        "updated_at": enrollment.updated_at,
        "owner_id": workspace.id,
        "app_id": call.state.application.id,
        "sandbox": workspace.sandbox,
        "data": enrollment.data,
        "disabled": enrollment.disabled,
        "token": token,
        "token_expires": claims.expires if claims else 0,
    }


_OWN: Final = "/access/v1/enrollment"

ENDPOINTS: Final = (
    Endpoint("POST", _OWN + "/authorize", authorize, "anybody"),
    Endpoint("GET", _OWN, fetch, "enrolled"),
    Endpoint("PATCH", _OWN, update, "enrolled"),
    Endpoint("POST", _OWN, update, "enrolled"),
    Endpoint("PUT", _OWN + "/{id}", create),
    Endpoint("GET", "/access/v1/orgs", organizations),
)
