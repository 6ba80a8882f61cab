"""A request that showed a valid key, and how handlers read it. Law: reads, checks, never acts."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gateway.sandbox.identifiers import normal_timestamp, version_of
from gateway.sandbox.refusals import bad_request, invalid_field
from gateway.sandbox.signing import Signer
from gateway.sandbox.store import Json, Workspace

Shape = Mapping[str, type]


@dataclass(frozen=True, slots=True)
class Call:
    """A request, the workspace that its key opens, and what the sandbox lends to handlers."""

    request: Request
    workspace: Workspace
    signer: Signer
    job_seconds: float

    @property
    def origin(self) -> str:
        """The origin that the caller sees, for URLs in replies."""
        url = self.request.url
        return f"{url.scheme}://{url.netloc}"

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

        Raises a 400 refusal for what is no JSON object, or a member of another type.
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


class Operation(NamedTuple):
    """One method of one path template, and who answers it."""

    method: str
    template: str
    handle: Callable[[Call], Awaitable[Response]]
