"""The transform service's workflows: made, changed, listed. What they do is `runner`'s business."""

from collections.abc import Iterator
from typing import Any, Final

from starlette.responses import Response

from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.gobl import digest
from gateway.sandbox.identifiers import timestamp, uuid7
from gateway.sandbox.refusals import Fault, conflict, invalid, not_found, reply
from gateway.sandbox.store import Json, Workflow, Workspace

_UPDATE: Final = {"name": str, "description": str, "draft": bool, "steps": list, "rescue": list}
_CREATE: Final = _UPDATE | {"country": str, "schema": str}


def add_workflow(workspace: Workspace, workflow_id: str, request: Json) -> Workflow:
    """The workflow with that id, made if it is new. Raises a refusal: 409, 422."""
    known = workspace.workflows.get(workflow_id)
    if known is not None:
        if known.request == request:
            return known
        raise conflict("workflow already exists with same id")
    now = timestamp()
    made = Workflow(id=workflow_id, request=request, content={}, created_at=now, updated_at=now)
    _change(made, request)
    workspace.workflows[workflow_id] = made
    return made


def _change(workflow: Workflow, members: Json) -> None:
    content = workflow.content | {
        name: _with_ids(value) if name in ("steps", "rescue") else value
        for name, value in members.items()
    }
    faults = list(_faults(content))
    if faults:
        raise invalid(*faults)
    workflow.content, workflow.updated_at = content, timestamp()
    if not content.get("draft"):
        version = {
            "version": str(len(workflow.versions) + 1),
            "name": content["name"],
            "hash": digest(content)[:10],
            "created_at": workflow.updated_at,
            "src": "api-key",
        }
        workflow.versions.insert(0, version)


def _with_ids(steps: list[Any]) -> list[Any]:
    return [{"id": uuid7()} | step if isinstance(step, dict) else step for step in steps]


def _faults(content: Json) -> Iterator[Fault]:
    if not content.get("name"):
        yield Fault(("name",), "cannot be blank")
    for name in ("steps", "rescue"):
        yield from _step_faults(content.get(name, []), (name,))


def _step_faults(steps: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if not isinstance(steps, list):
        yield Fault(path, "must be a list")
        return
    for index, step in enumerate(steps):
        if not isinstance(step, dict):
            yield Fault((*path, index), "must be an object")
        elif not isinstance(step.get("action"), str) or not step["action"]:
            yield Fault((*path, index, "action"), "cannot be blank")
        else:
            yield from _next_faults(step.get("next") or [], (*path, index, "next"))


def _next_faults(nexts: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    if not isinstance(nexts, list):
        yield Fault(path, "must be a list")
        return
    for index, following in enumerate(nexts):
        if isinstance(following, dict):
            yield from _step_faults(following.get("steps") or [], (*path, index, "steps"))
        else:
            yield Fault((*path, index), "must be an object")


async def create(call: Call) -> Response:
    """PUT /transform/v1/workflows/{id}, idempotent."""
    body = await call.body(_CREATE)
    return reply(_shown(add_workflow(call.workspace, call.new_id(), body)))


async def update(call: Call) -> Response:
    """PATCH /transform/v1/workflows/{id}; one that is not a draft gets a new version."""
    body = await call.body(_UPDATE)
    workflow = _find(call)
    _change(workflow, body)
    return reply(_shown(workflow))


async def fetch(call: Call) -> Response:
    """GET /transform/v1/workflows/{id}."""
    return reply(_shown(_find(call)))


async def find(call: Call) -> Response:
    """GET /transform/v1/workflows, newest first."""
    limit, schema, since = (
        max(call.number("limit", 100, 100), 1),
        call.query("schema"),
        call.since(),
    )
    wanted = [
        workflow
        for workflow in reversed(call.workspace.workflows.values())
        if schema in ("", workflow.content.get("schema"))
        and (not since or workflow.created_at <= since)
    ]
    answer: Json = {"list": [_shown(workflow) for workflow in wanted[:limit]], "limit": limit}
    if schema:
        answer["schema"] = schema
    if since:
        answer["created_at"] = since
    if wanted[limit:]:
        answer["next_created_at"] = wanted[limit].created_at
    return reply(answer)


def _find(call: Call) -> Workflow:
    workflow = call.workspace.workflows.get(call.path("id").lower())
    if workflow is None:
        raise not_found("workflow")
    return workflow


def _shown(workflow: Workflow) -> Json:
    return {
        "id": workflow.id,
        "created_at": workflow.created_at,
        "updated_at": workflow.updated_at,
        "disabled": False,
        "hash": digest(workflow.content)[:10],
        "version": workflow.versions[0]["version"] if workflow.versions else "",
        "versions": workflow.versions,
        **workflow.content,
    }


ENDPOINTS: Final = (
    Endpoint("GET", "/transform/v1/workflows", find),
    Endpoint("GET", "/transform/v1/workflows/{id}", fetch),
    Endpoint("PUT", "/transform/v1/workflows/{id}", create),
    Endpoint("PATCH", "/transform/v1/workflows/{id}", update),
)
