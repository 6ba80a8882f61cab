"""The silo's entries, their states and versions, what relates to them, search, and the spool."""

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
from starlette.responses import Response

from gateway.sandbox import entries
from gateway.sandbox.calls import Call, Endpoint, page
from gateway.sandbox.files import decoded, download, find_entry
from gateway.sandbox.identifiers import normal_timestamp, timestamp, uuid7
from gateway.sandbox.refusals import bad_request, conflict, invalid_field, not_found, reply
from gateway.sandbox.store import Json, SiloEntry

_CREATE: Final = {
    "data": object, "key": str, "folder": str, "content_type": str, "previous_id": str,
    "correct": dict, "allow_invalid": bool, "sign": bool,
}  # fmt: skip
_UPDATE: Final = {
    "data": object, "folder": str, "content_type": str, "allow_invalid": bool, "sign": bool,
}  # fmt: skip
_STATE: Final = {"key": str, "notes": str, "meta": dict}


async def create(call: Call) -> Response:
    """POST /silo/v1/entries."""
    body = await call.body(_CREATE)
    return _entry(call, entries.create(call.workspace, uuid7(), body, call.state.signer))


async def create_with_id(call: Call) -> Response:
    """PUT /silo/v1/entries/{id}."""
    body = await call.body(_CREATE)
    return _entry(call, entries.create(call.workspace, call.new_id(), body, call.state.signer))


async def fetch(call: Call) -> Response:
    """GET /silo/v1/entries/{id}."""
    return _entry(call, find_entry(call, "id"))


async def fetch_by_key(call: Call) -> Response:
    """GET /silo/v1/entries/key/{key}."""
    entry_id = call.workspace.entry_keys.get(call.path("key"))
    if entry_id is None:
        raise not_found("entry")
    return _entry(call, call.workspace.entries[entry_id])


async def update(call: Call) -> Response:
    """PATCH /silo/v1/entries/{id}."""
    body = await call.body(_UPDATE)
    entry = find_entry(call, "id")
    entries.update(entry, body, call.state.signer)
    return _entry(call, entry)


async def find(call: Call) -> Response:
    """GET /silo/v1/entries, a page of one folder or of all."""
    folder = call.query("folder")
    found = [entry for entry in call.workspace.entries.values() if folder in ("", entry.folder)]
    answer = page(call, found, lambda entry: entries.shown(entry, call.state, data=False))
    return reply(answer | ({"folder": folder} if folder else {}))


async def search(call: Call) -> Response:
    """GET /silo/v1/search: entries whose document holds the text, in any case, newest first."""
    query, folder = call.query("q"), call.query("folder")
    if not query:
        raise bad_request("q is required")
    limit, offset = max(call.number("limit", 20, 100), 1), call.number("offset", 0, 10**6)
    found = [
        entry
        for entry in reversed(call.workspace.entries.values())
        if folder in ("", entry.folder)
        and query.casefold() in orjson.dumps(entry.envelope["doc"]).decode().casefold()
    ]
    shown = [entries.shown(e, call.state, data=False) for e in found[offset : offset + limit]]
    answer = {"list": shown, "query": query, "limit": limit, "offset": offset}
    return reply(answer | ({"folder": folder} if folder else {}))


async def related(call: Call) -> Response:
    """GET /silo/v1/entries/related: entries whose document mentions the UUID."""
    if not call.query("uuid"):
        raise bad_request("uuid is required")
    return _related(call, {call.query("uuid")})


async def related_to_entry(call: Call) -> Response:
    """GET /silo/v1/entries/{id}/related: entries that mention it, its envelope or its document."""
    entry = find_entry(call, "id")
    own = {entry.id, entry.envelope["head"]["uuid"], str(entry.envelope["doc"].get("uuid", ""))}
    return _related(call, {call.query("uuid")} if call.query("uuid") else own - {""})


def _related(call: Call, wanted: set[str]) -> Response:
    contexts: dict[str, str] = {}
    for entry in call.workspace.entries.values():
        document = {k: v for k, v in entry.envelope["doc"].items() if k != "uuid"}
        mentions = [context for context, value in _strings(document, "") if value in wanted]
        if call.query("context"):
            mentions = [context for context in mentions if context == call.query("context")]
        if mentions:
            contexts[entry.id] = mentions[0]
    found = [call.workspace.entries[entry_id] for entry_id in contexts]

    def show(entry: SiloEntry) -> Json:
        shown = entries.shown(entry, call.state, data=False)
        return shown | {"context": contexts[entry.id]}

    return reply(page(call, found, show))


def _strings(value: Any, context: str) -> Iterator[tuple[str, str]]:
    """Every string in a document with the path of the object that holds it, indexes left out."""
    for name, member in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(member, str):
            yield context, member
        elif isinstance(member, dict | list):
            step = f"{context}.{name}".lstrip(".") if isinstance(value, dict) else context
            yield from _strings(member, step)


async def fetch_version(call: Call) -> Response:
    """GET /silo/v1/entries/{id}/versions/{version}."""
    for version in find_entry(call, "id").versions:
        if version.version == call.path("version"):
            return reply({"version": version.version, "data": version.envelope})
    raise not_found("version")


async def list_states(call: Call) -> Response:
    """GET /silo/v1/entries/{entry_id}/states, newest first."""
    states = find_entry(call).states
    return reply({"list": [states[at] for at in sorted(states, reverse=True)]})


async def create_state(call: Call) -> Response:
    """POST /silo/v1/entries/{entry_id}/states."""
    body = await call.body(_STATE)
    entry, at = find_entry(call), datetime.now(UTC)
    while timestamp(at) in entry.states:
        at += timedelta(milliseconds=1)
    return _state(entry, timestamp(at), body)


async def create_state_at(call: Call) -> Response:
    """PUT /silo/v1/entries/{entry_id}/states/{at}, idempotent."""
    body = await call.body(_STATE)
    at = normal_timestamp(call.path("at"))
    if at is None:
        raise invalid_field("at", "must be an ISO timestamp")
    return _state(find_entry(call), at, body)


def _state(entry: SiloEntry, at: str, body: Json) -> Response:
    if not body.get("key"):
        raise invalid_field("key", "cannot be blank")
    made = {"id": f"{entry.id}:{at}", "created_at": at, "src": "api-key"} | body
    if entry.states.setdefault(at, made) != made:
        raise conflict("another state exists at that time")
    return reply(made)


async def spool(call: Call) -> Response:
    """POST /silo/v1/spool."""
    body = await call.body({"data": str, "name": str, "type": str})
    if "data" not in body:
        raise invalid_field("data", "cannot be blank")
    name, mime = body.get("name", "file"), body.get("type", "application/octet-stream")
    week = datetime.now(UTC).strftime("%G-W%V")
    key = f"{week}-{secrets.token_hex(6)}-{name}"
    call.workspace.spool[key] = (name, mime, decoded(body["data"]))
    return reply({"key": key})


async def fetch_spooled(call: Call) -> Response:
    """GET /silo/v1/spool/{key}."""
    spooled = call.workspace.spool.get(call.path("key"))
    if spooled is None:
        raise not_found("file")
    return download(*spooled)


async def delete_spooled(call: Call) -> Response:
    """DELETE /silo/v1/spool/{key}."""
    if call.workspace.spool.pop(call.path("key"), None) is None:
        raise not_found("file")
    return Response(status_code=204)


def _entry(call: Call, entry: SiloEntry) -> Response:
    return reply(entries.shown(entry, call.state))


_ENTRIES: Final = "/silo/v1/entries"

ENDPOINTS: Final = (
    Endpoint("GET", _ENTRIES, find),
    Endpoint("POST", _ENTRIES, create),
    Endpoint("GET", _ENTRIES + "/{id}", fetch),
    Endpoint("PUT", _ENTRIES + "/{id}", create_with_id),
    Endpoint("PATCH", _ENTRIES + "/{id}", update),
    Endpoint("GET", _ENTRIES + "/key/{key}", fetch_by_key),
    Endpoint("GET", _ENTRIES + "/related", related),
    Endpoint("GET", _ENTRIES + "/{id}/related", related_to_entry),
    Endpoint("GET", _ENTRIES + "/{id}/versions/{version}", fetch_version),
    Endpoint("GET", _ENTRIES + "/{entry_id}/states", list_states),
    Endpoint("POST", _ENTRIES + "/{entry_id}/states", create_state),
    Endpoint("PUT", _ENTRIES + "/{entry_id}/states/{at}", create_state_at),
    Endpoint("GET", "/silo/v1/search", search),
    Endpoint("POST", "/silo/v1/spool", spool),
    Endpoint("GET", "/silo/v1/spool/{key}", fetch_spooled),
    Endpoint("DELETE", "/silo/v1/spool/{key}", delete_spooled),
)
