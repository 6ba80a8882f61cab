"""The sandbox as a whole: its workspaces and keys, and the ASGI app that answers for them.

Law: no handler runs before a valid key, or a file's own signed URL, has named its workspace.
"""

import asyncio
import uuid
from collections.abc import Iterable, Iterator
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.sandbox import access, files, gobl, jobs, samples, sequence, silo, transform
from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.files import FILE, LINK, linked
from gateway.sandbox.identifiers import timestamp
from gateway.sandbox.refusals import Refusal, bad_request, not_found, unauthorized
from gateway.sandbox.runner import settle
from gateway.sandbox.signing import LIFETIME, Signer
from gateway.sandbox.store import Workspace

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    *access.ENDPOINTS,
    *silo.ENDPOINTS,
    *files.ENDPOINTS,
    *gobl.ENDPOINTS,
    *transform.ENDPOINTS,
    *jobs.ENDPOINTS,
    *sequence.ENDPOINTS,
)


class Sandbox:
    """An emulated Invopop with its own workspaces and keys; nothing of it outlives the object.

    `job_seconds` is how long a job takes. A workspace's id depends on its slug only, so that it
    can be pinned; keys open only the sandbox that minted them.
    """

    def __init__(
        self, workspaces: Iterable[str] = ("acme", "globex"), *, job_seconds: float = 0.15
    ) -> None:
        self.workspaces: dict[str, Workspace] = {}
        self.job_seconds = job_seconds
        self.signer = Signer()
        self.app: ASGIApp = _router(self)
        for slug in workspaces:
            self.add_workspace(slug)

    def add_workspace(self, slug: str) -> Workspace:
        """A new workspace, empty but for the sample workflow. Raises ValueError for one it has."""
        if slug in self.workspaces:
            raise ValueError(f"workspace {slug} exists")
        now = timestamp()
        workspace = Workspace(
            id=str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{slug}.sandbox.invalid")),
            slug=slug,
            name=f"{slug.replace('-', ' ').title()} (sandbox)",
            country="ES",
            created_at=now,
            updated_at=now,
        )
        transform.add_workflow(workspace, samples.WORKFLOW_ID, samples.workflow())
        self.workspaces[slug] = workspace
        return workspace

    def mint_key(self, workspace: str, lifetime: float = LIFETIME) -> str:
        """A fresh API key of the workspace with that slug; `lifetime` in seconds."""
        return self.signer.mint(self.workspaces[workspace].id, lifetime)

    def revoke(self, key: str) -> None:
        """Makes a key worthless at once. Raises ValueError for one that opens nothing anyway."""
        self.signer.revoke(key)

    def workspace_of(self, request: Request) -> Workspace:
        """The workspace that the request's key, or its URL's signature, opens.

        Raises a 401 refusal.
        """
        for workspace in self._opened(request):
            return workspace
        shown = request.headers.get("authorization")
        raise unauthorized("the API key is not valid" if shown else "an API key is required")

    def _opened(self, request: Request) -> Iterator[Workspace]:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        opened = self.signer.workspace_id(key) if scheme.lower() == "bearer" else None
        for workspace in self.workspaces.values():
            if workspace.id == opened or (opened is None and _by_link(request, workspace)):
                yield workspace


class _Resource:
    """Everything that one path template answers, as an ASGI app; an empty one is a 404."""

    def __init__(self, sandbox: Sandbox, operations: Iterable[Endpoint]) -> None:
        self._sandbox = sandbox
        self._handlers = {operation.method: operation.handle for operation in operations}

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
        sandbox = self._sandbox
        workspace = sandbox.workspace_of(request)
        if not self._handlers:
            raise not_found()
        handle = self._handlers.get("GET" if request.method == "HEAD" else request.method)
        if handle is None:
            allow = {"Allow": ", ".join(sorted(self._handlers))}
            raise Refusal(405, "method-not-allowed", "method not allowed", headers=allow)
        settle(workspace, sandbox.signer, asyncio.get_running_loop().time())
        return await handle(Call(request, workspace, sandbox.signer, sandbox.job_seconds))


def _by_link(request: Request, workspace: Workspace) -> bool:
    """Whether the request is for a file and bears the signature of that file's URL."""
    link, segments = request.query_params.get(LINK), request.url.path.split("/")
    if not link or len(segments) != FILE.count("/") + 1:
        return False
    return linked(workspace, segments[4], segments[6], link) and segments[5] == "files"


def _router(sandbox: Sandbox) -> Router:
    """The routes, literal segments before parameters; a `{key}` may hold slashes."""
    templates: dict[str, list[Endpoint]] = {}
    for operation in ENDPOINTS:
        templates.setdefault(operation.template, []).append(operation)
    ordered = sorted(templates, key=lambda template: [s[:1] == "{" for s in template.split("/")])
    routes = [
        Route(template.replace("{key}", "{key:path}"), _Resource(sandbox, templates[template]))
        for template in ordered
    ]
    return Router(routes, redirect_slashes=False, default=_Resource(sandbox, ()))
