"""Meta rows of a silo entry: what an enrolled application keeps with it, by key or by reference."""

from typing import Final

from starlette.responses import Response

from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.files import find_entry
from gateway.sandbox.identifiers import timestamp
from gateway.sandbox.refusals import not_found, reply
from gateway.sandbox.store import Json, SiloEntry

_ROW: Final = {
    "ref": str, "value": object, "url": str, "scope": str, "link_url": str, "link_scope": str,
    "indexed": bool, "owned": bool, "secure": bool, "shared": bool,
}  # fmt: skip
# The Go client sends `url` and `scope`; rows show them as they are named here.
_RENAMED: Final = {"url": "link_url", "scope": "link_scope"}


async def list_rows(call: Call) -> Response:
    """GET of an entry's rows; those marked `secure` are left out."""
    rows = find_entry(call).meta.values()
    return reply({"list": [row for row in rows if not row.get("secure")]})


async def fetch(call: Call) -> Response:
    """GET of one row."""
    return reply(_find(call))


async def fetch_by_reference(call: Call) -> Response:
    """GET /silo/v1/entries/meta/{meta_key}/{ref}, for who does not know the entry."""
    row = _referred(call, call.path("ref")).meta[call.path("meta_key")]
    return reply(row | {"owner_id": call.workspace.id})


async def put(call: Call) -> Response:
    """PUT of one row: made, or changed as a whole."""
    return _set(call, find_entry(call), await call.body(_ROW))


async def put_by_reference(call: Call) -> Response:
    """PUT /silo/v1/entries/meta/{meta_key}: of the row with the `ref` of the body."""
    body = await call.body(_ROW)
    return _set(call, _referred(call, body.get("ref", "")), body)


def _referred(call: Call, reference: str) -> SiloEntry:
    """The entry whose row of that key has the reference. Raises a 404 refusal."""
    key = call.path("meta_key")
    for entry in call.workspace.entries.values():
        if reference and key in entry.meta and entry.meta[key].get("ref") == reference:
            return entry
    raise not_found("meta")


def _set(call: Call, entry: SiloEntry, body: Json) -> Response:
    key, now = call.path("meta_key"), timestamp()
    source = call.state.application.id
    row: Json = {
        "id": f"{entry.id}:{source}:{key}",
        "created_at": entry.meta[key]["created_at"] if key in entry.meta else now,
        "updated_at": now,
        "entry_id": entry.id,
        "src": source,
        "key": key,
    }
    row |= {_RENAMED.get(name, name): value for name, value in body.items()}
    entry.meta[key] = row
    return reply(row)


async def delete(call: Call) -> Response:
    """DELETE of one row, which is shown a last time."""
    row = _find(call)
    del find_entry(call).meta[call.path("meta_key")]
    return reply(row)


def _find(call: Call) -> Json:
    row = find_entry(call).meta.get(call.path("meta_key"))
    if row is None:
        raise not_found("meta")
    return row


_ROWS: Final = "/silo/v1/entries/{entry_id}/meta"

ENDPOINTS: Final = (
    Endpoint("GET", _ROWS, list_rows, "enrolled"),
    Endpoint("GET", _ROWS + "/{meta_key}", fetch, "enrolled"),
    Endpoint("PUT", _ROWS + "/{meta_key}", put, "enrolled"),
    Endpoint("DELETE", _ROWS + "/{meta_key}", delete, "enrolled"),
    Endpoint("PUT", "/silo/v1/entries/meta/{meta_key}", put_by_reference, "enrolled"),
    Endpoint("GET", "/silo/v1/entries/meta/{meta_key}/{ref}", fetch_by_reference, "enrolled"),
)
