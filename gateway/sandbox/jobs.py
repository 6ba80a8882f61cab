"""The transform service's jobs: created, waited for, fetched, listed, poked."""

import asyncio
from functools import partial
from typing import Final

from starlette.responses import Response

from gateway.sandbox import entries
from gateway.sandbox.calls import Call, Endpoint, page
from gateway.sandbox.files import shown_file
from gateway.sandbox.identifiers import TIME_BASED, timestamp, uuid7
from gateway.sandbox.refusals import bad_request, conflict, invalid_field, not_found, reply
from gateway.sandbox.runner import settle
from gateway.sandbox.state import Outcome, State
from gateway.sandbox.store import Job, Json, SiloEntry

LONGEST_WAIT: Final = 60
_CREATE: Final = {
    "workflow_id": str, "silo_entry_id": str, "data": dict, "key": str, "args": dict, "tags": list,
}  # fmt: skip
_UPDATE: Final = {
    "id": str, "job_id": str, "ref": str, "status": str, "code": str, "message": str,
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
    return reply(_shown(job, call.state))


async def fetch_by_key(call: Call) -> Response:
    """GET /transform/v1/jobs/key/{key}."""
    job_id = call.workspace.job_keys.get(call.path("key"))
    if job_id is None:
        raise not_found("job")
    return reply(_shown(call.workspace.jobs[job_id], call.state))


async def find(call: Call) -> Response:
    """GET /transform/v1/jobs, newest first."""
    jobs = list(call.workspace.jobs.values())
    return reply(page(call, jobs, lambda job: _shown(job, call.state)))


def _job(call: Call, job_id: str, body: Json) -> Job:
    """A new job of the workspace, on its way. Raises a refusal: 409, 422."""
    workspace, key = call.workspace, str(body.get("key", ""))
    workflow = workspace.workflows.get(str(body.get("workflow_id", "")).lower())
    if key and key in workspace.job_keys:
        raise conflict("job already exists with same key")
    if workflow is None or workflow.content.get("draft"):
        raise invalid_field("workflow_id", "not found, or still a draft")
    loop = asyncio.get_running_loop()
    job = Job(
        id=job_id,
        key=key,
        request=body,
        entry=_entry(call, body),
        workflow={"id": workflow.id, **workflow.content},
        created_at=timestamp(),
        due=loop.time() + call.state.job_seconds,
    )
    loop.call_at(job.due, partial(settle, call.state, workspace, job.due))
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
        return entries.create(call.workspace, uuid7(), {"data": body["data"]}, call.state.signer)
    if not body.get("args"):
        raise invalid_field("silo_entry_id", "cannot be blank without data or args")
    return None


async def _accepted(call: Call, job: Job) -> Response:
    """202 with the job at once, or after `wait` seconds; 200 as soon as it has ended by then."""
    wait = call.number("wait", 0, LONGEST_WAIT)
    if wait and not job.completed_at:
        await _ended(call, job, wait)
    return reply(_shown(job, call.state), 200 if wait and job.completed_at else 202)


async def _ended(call: Call, job: Job, within: float) -> None:
    """Returns when the job has ended, after that many seconds, or when the caller has left."""
    waiting = (asyncio.create_task(job.done.wait()), asyncio.create_task(_caller_left(call)))
    try:
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _caller_left(call: Call) -> None:
    while (await call.request.receive())["type"] != "http.disconnect":
        pass


async def update_intent(call: Call) -> Response:
    """POST /transform/v1/jobs/intents: an event for an intent that waits, such as `POKE`."""
    body = await call.body(_UPDATE)
    if not body.get("status"):
        raise invalid_field("status", "cannot be blank")
    job = _waiting(call, body)
    intent = next(intent for intent in job.intents if intent["id"] == job.waiting_for)
    if job.resume is not None:
        job.resume(Outcome(body["status"], body.get("message", ""), body.get("code", "")))
    return reply(intent)


def _waiting(call: Call, body: Json) -> Job:
    """The job whose intent the body names and that waits for it. Raises a refusal: 400, 404."""
    intent_id, reference = body.get("id", "").lower(), body.get("ref", "")
    if not intent_id and not reference:
        raise bad_request("id or ref is required")
    for job in call.workspace.jobs.values():
        named = job.waiting_for == intent_id if intent_id else job.reference == reference
        if job.waiting_for and named and body.get("job_id", job.id).lower() == job.id:
            return job
    raise not_found("intent")


def _shown(job: Job, state: State) -> Json:
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
        "attachments": [shown_file(file, state) for file in job.files],
    }
    return answer | {name: value for name, value in optional.items() if value}


ENDPOINTS: Final = (
    Endpoint("GET", "/transform/v1/jobs", find),
    Endpoint("POST", "/transform/v1/jobs", create),
    Endpoint("POST", "/transform/v1/jobs/intents", update_intent, "enrolled"),
    Endpoint("GET", "/transform/v1/jobs/{id}", fetch),
    Endpoint("PUT", "/transform/v1/jobs/{id}", create_with_id),
    Endpoint("GET", "/transform/v1/jobs/key/{key}", fetch_by_key),
)
