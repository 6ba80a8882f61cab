"""The sequence service. Rule: a series gives each number once, to one entry, without gaps."""

from typing import Final

from starlette.responses import Response

from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.identifiers import timestamp
from gateway.sandbox.refusals import bad_request, conflict, invalid_field, not_found, reply
from gateway.sandbox.store import Json, Series

_SERIES: Final = {
    "name": str, "code": str, "description": str, "prefix": str, "suffix": str, "padding": int,
    "start": int, "sig": str,
}  # fmt: skip


def number(series: Series, entry_id: str, request: Json) -> Json:
    """The entry with that id, made with the next number if it is new.

    Nothing here awaits: two requests never get the same number. Raises a 409 refusal.
    """
    known = series.entries.get(entry_id)
    if known is not None:
        if known.get("meta", {}) == request.get("meta", {}):
            return known
        raise conflict("entry already exists with same id")
    series.last_index += 1
    made = series.request
    digits = str(series.last_index).zfill(made.get("padding", 0))
    now = timestamp()
    entry: Json = {
        "id": entry_id,
        "series_id": series.id,
        "code": f"{made.get('prefix', '')}{digits}{made.get('suffix', '')}",
        "created_at": now,
        "updated_at": now,
    }
    if series.entries:
        entry["previous_id"] = next(reversed(series.entries))
    if "meta" in request:
        entry["meta"] = request["meta"]
    if "sig" in request:
        entry["sigs"] = [request["sig"]]
    series.entries[entry_id] = entry
    series.updated_at = now
    return entry


async def create_series(call: Call) -> Response:
    """PUT /sequence/v1/series/{id}, idempotent."""
    body = await call.body(_SERIES)
    series_id = call.new_id()
    for name, lowest, highest in (("padding", 0, 32), ("start", 0, 10**15)):
        if not lowest <= body.get(name, lowest) <= highest:
            raise invalid_field(name, f"must be between {lowest} and {highest}")
    if not body.get("name"):
        raise invalid_field("name", "cannot be blank")
    now = timestamp()
    made = Series(
        id=series_id,
        request=body,
        created_at=now,
        updated_at=now,
        last_index=(body.get("start") or 1) - 1,  # the Go client sends 0 for none
    )
    series = call.workspace.series.setdefault(series_id, made)
    if series.request != body:
        raise conflict("series already exists with same id")
    return reply(_shown(series))


async def fetch_series(call: Call) -> Response:
    """GET /sequence/v1/series/{id}."""
    return reply(_shown(_find(call, "id")))


async def list_series(call: Call) -> Response:
    """GET /sequence/v1/series."""
    return reply({"list": [_shown(series) for series in call.workspace.series.values()]})


async def create_entry(call: Call) -> Response:
    """PUT /sequence/v1/series/{series_id}/entries/{id}, idempotent."""
    body = await call.body({"meta": dict, "sig": str})
    return reply(number(_find(call, "series_id"), call.new_id(), body))


async def fetch_entry(call: Call) -> Response:
    """GET /sequence/v1/series/{series_id}/entries/{id}."""
    entry = _find(call, "series_id").entries.get(call.path("id").lower())
    if entry is None:
        raise not_found("entry")
    return reply(entry)


async def list_entries(call: Call) -> Response:
    """GET /sequence/v1/series/{series_id}/entries, newest first; `cursor` is the last id seen."""
    ids = list(reversed(_find(call, "series_id").entries))
    limit, cursor = max(call.number("limit", 20, 100), 1), call.query("cursor")
    if cursor and cursor not in ids:
        raise bad_request("the cursor is not one of this list")
    start = ids.index(cursor) + 1 if cursor else 0
    entries = _find(call, "series_id").entries
    shown = ids[start : start + limit]
    answer: Json = {"list": [entries[entry_id] for entry_id in shown], "limit": limit}
    if start + limit < len(ids):
        answer["cursor"] = shown[-1]
    return reply(answer)


def _find(call: Call, name: str) -> Series:
    series = call.workspace.series.get(call.path(name).lower())
    if series is None:
        raise not_found("series")
    return series


def _shown(series: Series) -> Json:
    hidden = ("start", "sig")
    answer: Json = {
        "id": series.id,
        "created_at": series.created_at,
        "updated_at": series.updated_at,
        **{name: value for name, value in series.request.items() if name not in hidden},
    }
    if series.entries:
        answer["last_entry_id"] = next(reversed(series.entries))
        answer["last_index"] = series.last_index
    return answer


_ONE: Final = "/sequence/v1/series/{series_id}/entries/{id}"

ENDPOINTS: Final = (
    Endpoint("GET", "/sequence/v1/series", list_series),
    Endpoint("GET", "/sequence/v1/series/{id}", fetch_series),
    Endpoint("PUT", "/sequence/v1/series/{id}", create_series),
    Endpoint("GET", "/sequence/v1/series/{series_id}/entries", list_entries),
    Endpoint("GET", _ONE, fetch_entry),
    Endpoint("PUT", _ONE, create_entry),
)
