"""A request, how handlers read it, and pages of lists. Reads and checks; changes nothing."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.sandbox.identifiers import normal_timestamp, version_of
from gateway.sandbox.refusals import bad_request, invalid_field, unauthorized
from gateway.sandbox.signing import Claims
from gateway.sandbox.state import State
from gateway.sandbox.store import Job, Json, SiloEntry, Workspace

T = TypeVar("T", SiloEntry, Job)
Shape = Mapping[str, type]


@dataclass(frozen=True, slots=True)
class Call:
    """A request, the sandbox that it came to, and the workspace that its key opens, if any."""

    request: Request
    state: State
    opened: Workspace | None
    claims: Claims | None
    key: str

    @property
    def workspace(self) -> Workspace:
        """The workspace that the key opens. Raises a 401 refusal."""
        if self.opened is None:
            raise unauthorized()
        return self.opened

    def path(self, name: str) -> str:
        """A path parameter, percent-decoded."""
        return str(self.request.path_params[name])

    def new_id(self, name: str = "id", versions: tuple[int, ...] = ()) -> str:
        """The path parameter of a thing to be made: a UUID, of one of `versions` if any are given.

        Raises a 422 refusal.
        """
        text = self.path(name).lower()
        version = version_of(text)
        if version is None:
            raise invalid_field(name, "must be a valid UUID")
        if versions and version not in versions:
            raise invalid_field(
                name, "must be a UUID of version " + " or ".join(map(str, versions))
            )
        return text

    def query(self, name: str) -> str:
        """A query parameter, or ""."""
        return self.request.query_params.get(name, "")

    def number(self, name: str, default: int, highest: int) -> int:
        """A query parameter that counts, cut to `highest`. Raises a 400 refusal."""
        text = self.query(name)
        if not text:
            return default
        if not (text.isascii() and text.isdigit()):
            raise bad_request(f"{name} must be a whole number")
        return min(int(text[:9]), highest)

    def flag(self, name: str) -> bool:
        """A query parameter that is true or false. Raises a 400 refusal."""
        text = self.query(name)
        if text not in ("", "true", "false", "1", "0"):
            raise bad_request(f"{name} must be true or false")
        return text in ("true", "1")

    def since(self) -> str:
        """The query's `created_at` as a timestamp, or "". Raises a 400 refusal."""
        text = self.query("created_at")
        at = normal_timestamp(text) if text else ""
        if at is None:
            raise bad_request("created_at must be an ISO timestamp")
        return at

    async def body(self, shape: Shape) -> Json:
        """The members of the JSON body that `shape` names; null counts as absent.

        Raises a 400 refusal for what is not a JSON object, or a member of another type.
        """
        try:
            members = orjson.loads(await self.request.body() or b"{}")
        except orjson.JSONDecodeError:
            raise bad_request("the body is not valid JSON") from None
        if not isinstance(members, dict):
            raise bad_request("the body must be a JSON object")
        return {
            name: _typed(name, members[name], kind)
            for name, kind in shape.items()
            if members.get(name) is not None
        }


def _typed(name: str, value: Any, kind: type) -> Any:
    if kind is not object and type(value) is not kind:
        raise bad_request(f"{name} has the wrong type")
    return value


# Who may call: any valid key, only the token of an enrolled application, or anybody.
Access = Literal["key", "enrolled", "anybody"]


class Endpoint(NamedTuple):
    """One method of one path template, who answers it, and for whom."""

    method: str
    template: str
    handle: Callable[[Call], Awaitable[Response]]
    access: Access = "key"


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
