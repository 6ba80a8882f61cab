"""Lists, page by page: a cursor names the last thing seen and the direction. Pure."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.sandbox.calls import Call
from gateway.sandbox.refusals import bad_request
from gateway.sandbox.store import Entry, Job, Json

T = TypeVar("T", Entry, Job)


def page(call: Call, items: Sequence[T], render: Callable[[T], Json]) -> Json:
    """One page of `items` (oldest first), newest first unless `ascending`.

    Reads `created_at`, `cursor`, `limit` (20, at most 100) and `ascending`. Raises a 400 refusal.
    """
    limit = max(call.number("limit", 20, 100), 1)
    ascending = call.flag("ascending")
    since = call.since()
    wanted = [item for item in items if not since or _from(item.created_at, since, ascending)]
    ordered = wanted if ascending else wanted[::-1]
    start = _start(call.query("cursor"), ordered, ascending)
    shown = ordered[start : start + limit]
    answer: Json = {"list": [render(item) for item in shown], "limit": limit}
    if since:
        answer["created_at"] = since
    if call.query("cursor"):
        answer["cursor"] = call.query("cursor")
    if start + limit < len(ordered):
        answer["next_cursor"] = _cursor(shown[-1].id, ascending)
    return answer


def _from(at: str, since: str, ascending: bool) -> bool:
    return at >= since if ascending else at <= since


def _cursor(last_id: str, ascending: bool) -> str:
    return base64.urlsafe_b64encode(f"{'+-'[not ascending]}{last_id}".encode()).decode()


def _start(cursor: str, ordered: Sequence[T], ascending: bool) -> int:
    if not cursor:
        return 0
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        text = ""
    ids = [item.id for item in ordered]
    if text[:1] != "+-"[not ascending] or text[1:] not in ids:
        raise bad_request("the cursor is not one of this list")
    return ids.index(text[1:]) + 1
