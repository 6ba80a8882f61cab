"""The transform service's jobs: created, waited for, fetched, listed."""

import asyncio
import contextlib
from typing import Final

from starlette.responses import Response

from gateway.sandbox import entries
from gateway.sandbox.calls import Call, Endpoint, page
from gateway.sandbox.files import shown_file
from gateway.sandbox.identifiers import TIME_BASED, timestamp, uuid7
from gateway.sandbox.refusals import conflict, invalid_field, not_found, reply
from gateway.sandbox.runner import settle
from gateway.sandbox.store import Job, Json, SiloEntry

LONGEST_WAIT: Final = 60
# Seconds: a timer may fire a tick of the clock early.
_TICK: Final = 0.001
_CREATE: Final = {
    "workflow_id": str, "silo_entry_id": str, "data": dict, "key": str, "args": dict, "tags": list,
}  # fmt: skip


async def create(call: Call) -> Response:
    """POST /transform/v1/jobs."""
    body = await call.body(_CREATE)
    return await _accepted(call, _job(call, uuid7(), body))


async def create_with_id(call: Call) -> Response:
    """PUT /transform/v1/jobs/{id}, idempotent."""
    body = await call.body(_CREATE)
    job_id = call.new_id(versions=TIME_BASED)
    known = call.workspace.jobs.get(job_id)
    if known is not None and known.request != body:
        raise conflict("job already exists with same id")
    return await _accepted(call, known or _job(call, job_id, body))


async def fetch(call: Call) -> Response:
    """GET /transform/v1/jobs/{id}."""
    job = call.workspace.jobs.get(call.path("id").lower())
    if job is None:
        raise not_found("job")
    return reply(_shown(job, call.origin))


async def fetch_by_key(call: Call) -> Response:
    """GET /transform/v1/jobs/key/{key}."""
    job_id = call.workspace.job_keys.get(call.path("key"))
    if job_id is None:
        raise not_found("job")
    return reply(_shown(call.workspace.jobs[job_id], call.origin))


async def find(call: Call) -> Response:
    """GET /transform/v1/jobs, newest first."""
    jobs = list(call.workspace.jobs.values())
    return reply(page(call, jobs, lambda job: _shown(job, call.origin)))


def _job(call: Call, job_id: str, body: Json) -> Job:
    """A new job of the workspace, on its way. Raises a refusal: 409, 422."""
    workspace, key = call.workspace, str(body.get("key", ""))
    workflow = workspace.workflows.get(str(body.get("workflow_id", "")).lower())
    if key and key in workspace.job_keys:
        raise conflict("job already exists with same key")
    if workflow is None or workflow.content.get("draft"):
        raise invalid_field("workflow_id", "not found, or still a draft")
    job = Job(
        id=job_id,
        key=key,
        request=body,
        entry=_entry(call, body),
        workflow={"id": workflow.id, **workflow.content},
        created_at=timestamp(),
        due=asyncio.get_running_loop().time() + call.job_seconds,
    )
    workspace.jobs[job_id] = job
    workspace.pending.append(job)
    if key:
        workspace.job_keys[key] = job_id
    return job


def _entry(call: Call, body: Json) -> SiloEntry | None:
    """The entry to work on: the one named, or a new one of the data; none for mere arguments."""
    if body.get("silo_entry_id"):
        entry = call.workspace.entries.get(body["silo_entry_id"].lower())
        if entry is None:
            raise invalid_field("silo_entry_id", "not found")
        return entry
    if "data" in body:
        return entries.create(call.workspace, uuid7(), {"data": body["data"]}, call.signer)
    if not body.get("args"):
        raise invalid_field("silo_entry_id", "cannot be blank without data or args")
    return None


async def _accepted(call: Call, job: Job) -> Response:
    """202 with the job: at once, or when it is done, or when the caller has waited enough."""
    wait = call.number("wait", 0, LONGEST_WAIT)
    clock = asyncio.get_running_loop().time
    if wait and not job.completed_at:
        await _caller_left(call, within=max(0.0, min(wait, job.due - clock())))
        settle(call.workspace, call.signer, clock() + _TICK)
    return reply(_shown(job, call.origin), 202)


async def _caller_left(call: Call, within: float) -> None:
    """Returns after that many seconds, or as soon as nobody waits for the reply any more."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while (await call.request.receive())["type"] != "http.disconnect":
                pass


def _shown(job: Job, origin: str) -> Json:
    answer: Json = {
        "id": job.id,
        "created_at": job.created_at,
        "updated_at": job.completed_at or job.created_at,
        "workflow_id": job.workflow["id"],
        "status": job.status,
    }
    optional = {
        "key": job.key,
        "silo_entry_id": job.entry.id if job.entry else "",
        "args": job.request.get("args"),
        "tags": job.request.get("tags"),
        "completed_at": job.completed_at,
        "intents": job.intents,
        "faults": job.faults,
        "envelope": job.envelope,
        "attachments": [shown_file(file, origin) for file in job.files],
    }
    return answer | {name: value for name, value in optional.items() if value}


ENDPOINTS: Final = (
    Endpoint("GET", "/transform/v1/jobs", find),
    Endpoint("POST", "/transform/v1/jobs", create),
    Endpoint("GET", "/transform/v1/jobs/{id}", fetch),
    Endpoint("PUT", "/transform/v1/jobs/{id}", create_with_id),
    Endpoint("GET", "/transform/v1/jobs/key/{key}", fetch_by_key),
)
