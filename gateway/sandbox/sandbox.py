"""The sandbox as a whole: its workspaces and keys, and the ASGI apps that answer for them.

No handler that wants a key runs before a valid one has named its workspace.
"""

import asyncio
import uuid
from collections.abc import Iterable
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.sandbox import (
    access,
    apps,
    enrollments,
    files,
    gobl,
    jobs,
    meta,
    query,
    samples,
    sequence,
    silo,
    transform,
)  # fmt: skip
from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.file_host import file_host
from gateway.sandbox.identifiers import timestamp, uuid7
from gateway.sandbox.refusals import Refusal, bad_request, forbidden, not_found, unauthorized
from gateway.sandbox.runner import settle
from gateway.sandbox.state import Application, State
from gateway.sandbox.store import Enrollment, Workspace

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *access.ENDPOINTS,
    *enrollments.ENDPOINTS,
    *silo.ENDPOINTS,
    *query.ENDPOINTS,
    *meta.ENDPOINTS,
    *files.ENDPOINTS,
    *gobl.ENDPOINTS,
    *transform.ENDPOINTS,
    *jobs.ENDPOINTS,
    *sequence.ENDPOINTS,
    *apps.ENDPOINTS,
)


class Sandbox(State):
    """An emulated Invopop with its own workspaces and keys; nothing of it outlives the object.

    A workspace's id depends on its slug only, so that it can be pinned; keys and the
    application's secret open only the sandbox that made them.
    """

    def __init__(
        self, workspaces: Iterable[str] = ("acme", "globex"), *, job_seconds: float = 0.15
    ) -> None:
        super().__init__(Application(id=_named("application")))
        self.job_seconds = job_seconds
        self.app: ASGIApp = _router(self)
        self.file_host: ASGIApp = file_host(self)
        for slug in workspaces:
            self.add_workspace(slug)

    def add_workspace(
        self, slug: str, *, country: str = "ES", sandbox: bool = True, enrolled: bool = True
    ) -> Workspace:
        """A new workspace, empty but for the sample workflow. Raises ValueError for one it has.

        `enrolled`: the application is, and gets tokens for it.
        """
        if slug in self.workspaces:
            raise ValueError(f"workspace {slug} exists")
        now = timestamp()
        workspace = Workspace(
            id=_named(slug),
            slug=slug,
            name=f"{slug.replace('-', ' ').title()} (sandbox)",
            country=country,
            sandbox=sandbox,
            enrollment=Enrollment(id=uuid7(), created_at=now, updated_at=now) if enrolled else None,
            created_at=now,
            updated_at=now,
        )
        transform.add_workflow(workspace, samples.WORKFLOW_ID, samples.workflow())
        self.workspaces[slug] = self.by_id[workspace.id] = workspace
        return workspace

    def mint_key(self, workspace: str, lifetime: float | None = None) -> str:
        """A fresh API key of the workspace with that slug, for good or for `lifetime` seconds."""
        return self.signer.mint(self.workspaces[workspace].id, lifetime)

    def revoke(self, key: str) -> None:
        """Revokes a key at once. Raises ValueError for one that is not valid anyway."""
        self.signer.revoke(key)

    def call(self, request: Request) -> Call:
        """A request with what its key opens: nothing, if it shows none that is valid."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        claims = self.signer.read(key) if scheme.lower() == "bearer" else None
        workspace = self.by_id.get(claims.workspace_id) if claims else None
        if claims and claims.scope == "enrolled":
            enrollment = workspace.enrollment if workspace else None
            if enrollment is None or enrollment.disabled:
                workspace = None
        return Call(request, self, workspace, claims, key)


class _Resource:
    """Everything that one path template answers, as an ASGI app; an empty one is a 404."""

    def __init__(self, sandbox: Sandbox, endpoints: Iterable[Endpoint]) -> None:
        self._sandbox = sandbox
        self._endpoints = {endpoint.method: endpoint for endpoint in endpoints}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(Request(scope, receive))
        except Refusal as refusal:
            response = refusal.response()
        except ClientDisconnect:
            return  # nobody is left to answer
        except RecursionError:
            response = bad_request("the body is nested too deeply").response()
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        call = self._sandbox.call(request)
        endpoint = self._endpoints.get("GET" if request.method == "HEAD" else request.method)
        if endpoint is not None and endpoint.access == "anybody":
            return await endpoint.handle(call)
        if call.opened is None or call.claims is None:
            raise unauthorized()
        if not self._endpoints:
            raise not_found()
        if endpoint is None:
            allow = {"Allow": ", ".join(sorted(self._endpoints))}
            raise Refusal(405, "method-not-allowed", "method not allowed", headers=allow)
        if endpoint.access == "enrolled" and call.claims.scope != "enrolled":
            raise forbidden("only for enrolled applications")
        settle(self._sandbox, call.opened, asyncio.get_running_loop().time())
        return await endpoint.handle(call)


def _named(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.sandbox.invalid"))


def _router(sandbox: Sandbox) -> Router:
    """The routes, literal segments before parameters; a `{key}` may hold slashes."""
    templates: dict[str, list[Endpoint]] = {}
    for endpoint in ENDPOINTS:
        templates.setdefault(endpoint.template, []).append(endpoint)
    ordered = sorted(templates, key=lambda template: [s[:1] == "{" for s in template.split("/")])
    routes = [
        Route(template.replace("{key}", "{key:path}"), _Resource(sandbox, templates[template]))
        for template in ordered
    ]
    return Router(routes, redirect_slashes=False, default=_Resource(sandbox, ()))
