"""Invopop's error shape: JSON with `key` and `message`, and `fields` and `faults` for a 422.

A message never repeats a key, or anything else that a client sent as a secret.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response


class Fault(NamedTuple):
    """One thing wrong with a document: the path to the property, and what is wrong with it."""

    path: tuple[str | int, ...]
    message: str

    @property
    def json_path(self) -> str:
        """The path in JSONPath (RFC 9535): `$.lines[0].item`."""
        return "$" + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in self.path)


class Refusal(Exception):
    """An answer other than success. Every handler may raise it; the app turns it into a reply."""

    def __init__(
        self,
        status: int,
        key: str,
        message: str,
        *,
        faults: Iterable[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.key = key
        self.message = message
        self.faults = tuple(faults)
        self.headers = headers

    def response(self) -> Response:
        """The reply in Invopop's error shape."""
        body: dict[str, Any] = {"key": self.key} if self.key else {}
        body["message"] = self.message
        if self.faults:
            body["fields"] = _nested(self.faults)
            body["faults"] = [
                {"paths": [fault.json_path], "message": fault.message} for fault in self.faults
            ]
        return reply(body, self.status, self.headers)


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(orjson.dumps(body), status, dict(headers or {}), media_type="application/json")


def bad_request(message: str) -> Refusal:
    """400: the request cannot be understood."""
    return Refusal(400, "bad-request", message)


def unauthorized() -> Refusal:
    """401: no key, or not a valid one. Invopop says no more than that, and has no `key` for it."""
    return Refusal(401, "", "Unauthorized", headers={"WWW-Authenticate": "Bearer"})


def forbidden(message: str) -> Refusal:
    """403: the key is valid, but not for this."""
    return Refusal(403, "forbidden", message)


def not_found(what: str = "resource") -> Refusal:
    """404: this workspace has nothing of that name."""
    return Refusal(404, "not-found", f"{what} not found")


def conflict(message: str) -> Refusal:
    """409: the id or key is in use, or the thing may no longer be changed."""
    return Refusal(409, "conflict", message)


def invalid(*faults: Fault) -> Refusal:
    """422: understood, but wrong; `faults` say where."""
    first = faults[0]
    where = ".".join(map(str, first.path))
    return Refusal(422, "validation", f"{where}: {first.message}", faults=faults)


def invalid_field(name: str, message: str) -> Refusal:
    """422 for one member of the request."""
    return invalid(Fault((name,), message))


def _nested(faults: Iterable[Fault]) -> dict[str, Any]:
    """Faults as nested maps that mirror the document, the first fault of a property winning."""
    fields: dict[str, Any] = {}
    for fault in faults:
        level = fields
        for step in fault.path[:-1]:
            below = level.setdefault(str(step), {})
            if not isinstance(below, dict):
                break
            level = below
        else:
            level.setdefault(str(fault.path[-1]), fault.message)
    return fields
