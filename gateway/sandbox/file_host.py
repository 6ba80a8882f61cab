"""The origins where files are: they know no keys, only the unguessable paths of a file's URLs."""

import hashlib
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.sandbox.files import download, shown_file
from gateway.sandbox.refusals import Refusal, invalid_field, not_found, reply
from gateway.sandbox.state import State

_DOWNLOAD: Final = "/{entry}/{secret}/{name}"
_UPLOAD: Final = "/upload/{secret}"


class _Files:
    """One of the two ways to a file, as an ASGI app."""

    def __init__(self, state: State, *, upload: bool) -> None:
        self._state = state
        self._upload = upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(Request(scope, receive))
        except Refusal as refusal:
            response = refusal.response()
        except ClientDisconnect:
            return  # nobody is left to answer
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        methods = ("PUT",) if self._upload else ("GET", "HEAD")
        if request.method not in methods:
            allow = {"Allow": ", ".join(methods)}
            raise Refusal(405, "method-not-allowed", "method not allowed", headers=allow)
        content = await request.body() if self._upload else b""
        file = self._state.linked(request.path_params["secret"], upload=self._upload)
        if file is None:
            raise not_found("file")
        if not self._upload:
            return download(file.name, file.mime, file.content or b"")
        if hashlib.sha256(content).hexdigest() != file.sha256 or len(content) != file.size:
            raise invalid_field("data", "does not match sha256 and size")
        file.content = content
        return reply(shown_file(file, self._state))


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    await not_found("file").response()(scope, receive, send)


def file_host(state: State) -> ASGIApp:
    """The app that answers on a sandbox's file origins."""
    routes = [
        Route(_UPLOAD, _Files(state, upload=True)),
        Route(_DOWNLOAD, _Files(state, upload=False)),
    ]
    return Router(routes, redirect_slashes=False, default=_nothing)
