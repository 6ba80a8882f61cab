"""What tests access and makes ids: the version, the ping, the UUID generator."""

import uuid
from typing import Final

from starlette.responses import Response

from gateway.sandbox.calls import Call, Operation
from gateway.sandbox.identifiers import uuid7
from gateway.sandbox.refusals import bad_request, reply

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


OPERATIONS: Final = (
    Operation("GET", "/auth/version", version),
    Operation("GET", "/utils/v1/ping", ping),
    Operation("GET", "/utils/v1/uuid", new_uuid),
)
