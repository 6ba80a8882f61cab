"""Workflows and jobs: a job runs by itself, can be waited for, and leaves traces in the silo."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from gateway.sandbox import samples
from gateway.sandbox.identifiers import uuid7
from gateway.sandbox.sandbox import Sandbox

JOBS = "/transform/v1/jobs"
WORKFLOWS = "/transform/v1/workflows"
WORKFLOW = {"workflow_id": samples.WORKFLOW_ID}
STATE = {"action": "silo.state", "config": {"state": "seen"}}


async def _entry(client: httpx.AsyncClient, **body: Any) -> str:
    reply = await client.post("/silo/v1/entries", json={"data": samples.invoice()} | body)
    return str(reply.json()["id"])


async def _ran(client: httpx.AsyncClient, entry_id: str, *steps: Any, **more: Any) -> Any:
    """The finished job of a workflow with those steps."""
    path = f"{WORKFLOWS}/{uuid.uuid4()}"
    made = await client.put(path, json={"name": "Own", "steps": list(steps)} | more)
    assert made.status_code == 200, made.text
    body = {"workflow_id": made.json()["id"], "silo_entry_id": entry_id}
    return (await client.post(f"{JOBS}?wait=10", json=body)).json()


async def test_a_finished_job_has_all_it_promises(acme: httpx.AsyncClient) -> None:
    """Waited for, a job is done: intents with events, the signed envelope, a PDF to download."""
    entry_id = await _entry(acme)
    body = WORKFLOW | {"silo_entry_id": entry_id, "tags": ["t"], "args": {"a": "b"}}
    reply = await acme.put(f"{JOBS}/{uuid7()}?wait=10", json=body)
    job = reply.json()
    assert (reply.status_code, job["status"], job["tags"]) == (200, "OK", ["t"])
    assert job["completed_at"] >= job["created_at"]
    assert [intent["name"] for intent in job["intents"]] == [
        "Sign envelope",
        "Generate PDF",
        "Mark as sent",
        "Send webhook",
    ]
    for intent in job["intents"]:
        assert intent["completed"]
        assert [event["status"] for event in intent["events"]] == ["QUEUED", "RUN", "OK"]
    assert job["envelope"]["sigs"]
    (file,) = job["attachments"]
    assert (file["name"], file["mime"]) == ("SAND-2025-001.pdf", "application/pdf")
    pdf = await acme.get(file["url"])
    assert (pdf.headers["content-type"], len(pdf.content)) == ("application/pdf", file["size"])
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.content.endswith(b"%%EOF\n")
    entry = (await acme.get(f"/silo/v1/entries/{entry_id}")).json()
    assert (entry["state"], entry["signed"]) == ("sent", True)
    assert entry["attachments"] == [file]
    assert (await acme.get(f"{JOBS}/{job['id']}")).json() == job


async def test_a_job_runs_by_itself(acme: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """Not waited for, a job is accepted at once, and done a little later, whoever looks."""
    entry_id = await _entry(acme)
    sandbox.job_seconds = 0.2
    job = (await acme.post(JOBS, json=WORKFLOW | {"silo_entry_id": entry_id})).json()
    assert job["status"] == "RUN"
    assert not {"completed_at", "intents", "attachments", "envelope"} & set(job)
    async with asyncio.timeout(10):
        while "state" not in (await acme.get(f"/silo/v1/entries/{entry_id}")).json():
            pass
    assert (await acme.get(f"{JOBS}/{job['id']}")).json()["status"] == "OK"


async def test_waiting_ends_with_the_callers_patience(
    acme: httpx.AsyncClient, sandbox: Sandbox
) -> None:
    """A job that takes longer than `wait` is answered as it is by then."""
    sandbox.job_seconds = 3600
    body = WORKFLOW | {"silo_entry_id": await _entry(acme)}
    loop = asyncio.get_running_loop()
    started = loop.time()
    reply = await acme.post(f"{JOBS}?wait=1", json=body)
    assert (reply.status_code, reply.json()["status"]) == (202, "RUN")
    assert loop.time() - started > 0.9
    assert (await acme.post(f"{JOBS}?wait=soon", json=body)).status_code == 400


async def test_jobs_are_idempotent(acme: httpx.AsyncClient) -> None:
    """The same PUT again is the same job; another body, or a key in use, is 409."""
    path, entry_id = f"{JOBS}/{uuid7()}", await _entry(acme)
    body = WORKFLOW | {"silo_entry_id": entry_id, "key": "once/twice"}
    first = (await acme.put(f"{path}?wait=10", json=body)).json()
    again = await acme.put(path, json=body)
    assert (again.status_code, again.json()) == (202, first)
    assert (await acme.put(path, json=body | {"tags": ["x"]})).status_code == 409
    assert (await acme.post(JOBS, json=body)).status_code == 409
    assert (await acme.get(f"{JOBS}/key/once%2Ftwice")).json() == first
    assert len((await acme.get(JOBS)).json()["list"]) == 1


async def test_raw_data_is_stored_first(acme: httpx.AsyncClient) -> None:
    """A job of raw data makes the silo entry that it works on; invalid data is 422."""
    body = WORKFLOW | {"data": samples.invoice()}
    job = (await acme.post(f"{JOBS}?wait=10", json=body)).json()
    entry = (await acme.get(f"/silo/v1/entries/{job['silo_entry_id']}")).json()
    assert entry["data"] == job["envelope"]
    wrong = await acme.post(JOBS, json=WORKFLOW | {"data": samples.invoice() | {"lines": []}})
    assert wrong.json()["fields"] == {"lines": "cannot be blank"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (JOBS, {"args": {"a": "b"}}, "workflow_id"),
        (JOBS, {"workflow_id": str(uuid.uuid4()), "args": {"a": "b"}}, "workflow_id"),
        (JOBS, WORKFLOW, "silo_entry_id"),
        (JOBS, WORKFLOW | {"silo_entry_id": uuid7()}, "silo_entry_id"),
    ],
)
async def test_impossible_jobs_are_422(
    acme: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    """A job needs a workflow that exists, and something to work on."""
    reply = await acme.post(path, json=body)
    assert (reply.status_code, list(reply.json()["fields"])) == (422, [field])
    assert (await acme.get(JOBS)).json()["list"] == []


async def test_job_ids_are_time_based(acme: httpx.AsyncClient) -> None:
    """Versions 1 and 7 only; and an unknown job is 404."""
    body = WORKFLOW | {"args": {"a": "b"}}
    assert (await acme.put(f"{JOBS}/{uuid.uuid4()}", json=body)).status_code == 422
    assert (await acme.put(f"{JOBS}/{uuid.uuid1()}", json=body)).status_code == 202
    assert (await acme.get(f"{JOBS}/{uuid7()}")).status_code == 404
    assert (await acme.get(f"{JOBS}/key/none")).status_code == 404


async def test_jobs_are_listed_newest_first(acme: httpx.AsyncClient) -> None:
    """The cursor leads through every job once."""
    body = WORKFLOW | {"args": {"a": "b"}}
    ids = [(await acme.post(JOBS, json=body)).json()["id"] for _ in range(3)]
    first = (await acme.get(f"{JOBS}?limit=2")).json()
    second = (await acme.get(f"{JOBS}?limit=2&cursor={first['next_cursor']}")).json()
    assert [job["id"] for job in first["list"] + second["list"]] == ids[::-1]
    assert "next_cursor" not in second


async def test_a_failing_step_ends_in_rescue(acme: httpx.AsyncClient) -> None:
    """A document that cannot be signed: later steps are left out, rescue steps run.

    The job has then ended well; what went wrong is in its faults only.
    """
    entry_id = await _entry(acme, data=samples.invoice() | {"supplier": {}}, allow_invalid=True)
    body = WORKFLOW | {"silo_entry_id": entry_id}
    job = (await acme.post(f"{JOBS}?wait=10", json=body)).json()
    assert job["status"] == "OK"
    assert job["faults"][0] == {
        "provider": "silo",
        "code": "validation",
        "message": "supplier.name: cannot be blank",
    }
    names = [intent["name"] for intent in job["intents"]]
    assert names == ["Sign envelope", "Mark as failed", "Send webhook"]
    assert job["intents"][0]["events"][-1]["status"] == "KO"
    assert (await acme.get(f"/silo/v1/entries/{entry_id}")).json()["state"] == "error"


async def test_steps_branch_on_the_status(acme: httpx.AsyncClient) -> None:
    """`next` runs the steps of the status that came; `stop` ends the workflow; KO is managed."""
    failing = {"action": "sequence.enumerate", "config": {"series_id": "none"}}
    handled = failing | {"next": [{"status": "KO", "steps": [STATE]}]}
    job = await _ran(acme, await _entry(acme), handled, {"action": "mail.send"})
    assert (job["status"], [i["provider"] for i in job["intents"]]) == (
        "OK",
        ["sequence", "silo", "mail"],
    )
    stopped = STATE | {"next": [{"status": "KO", "steps": [failing]}, {"stop": True}]}
    job = await _ran(acme, await _entry(acme), stopped, failing)
    assert (job["status"], len(job["intents"])) == ("OK", 1)


async def test_a_step_takes_the_next_number(acme: httpx.AsyncClient) -> None:
    """`sequence.enumerate` gives a document without a code the next of a series."""
    series = str(uuid.uuid4())
    await acme.put(f"/sequence/v1/series/{series}", json={"name": "S", "prefix": "F", "padding": 3})
    nameless = {name: value for name, value in samples.invoice().items() if name != "code"}
    step = {"action": "sequence.enumerate", "config": {"series_id": series}}
    job = await _ran(acme, await _entry(acme, data=nameless), step, {"action": "silo.close"})
    assert (job["status"], job["envelope"]["doc"]["code"]) == ("OK", "F001")


async def test_steps_without_an_entry_fail(acme: httpx.AsyncClient) -> None:
    """A job of mere arguments has nothing to sign; without rescue steps it is KO."""
    path = f"{WORKFLOWS}/{uuid.uuid4()}"
    await acme.put(path, json={"name": "Own", "steps": [{"action": "silo.close"}]})
    body = {"workflow_id": path.rpartition("/")[2], "args": {"a": "b"}}
    job = (await acme.post(f"{JOBS}?wait=10", json=body)).json()
    assert (job["status"], "silo_entry_id" in job) == ("KO", False)


async def test_workflows(acme: httpx.AsyncClient) -> None:
    """Made once, changed with a new version, listed by schema, drafts not used in jobs."""
    path = f"{WORKFLOWS}/{uuid.uuid4()}"
    body = {"name": "Own", "schema": "note/message", "steps": [STATE]}
    made = (await acme.put(path, json=body)).json()
    assert (made["version"], made["steps"][0]["action"]) == ("1", "silo.state")
    assert uuid.UUID(made["steps"][0]["id"])
    assert (await acme.put(path, json=body)).json() == made
    assert (await acme.put(path, json=body | {"name": "Other"})).status_code == 409
    changed = (await acme.patch(path, json={"name": "New"})).json()
    assert (changed["name"], changed["version"], len(changed["versions"])) == ("New", "2", 2)
    assert (await acme.get(path)).json() == changed
    listed = (await acme.get(f"{WORKFLOWS}?limit=1")).json()
    assert [one["id"] for one in listed["list"]] == [made["id"]]
    assert listed["next_created_at"]
    for schema, ids in (("note/message", [made["id"]]), ("bill/invoice", [samples.WORKFLOW_ID])):
        reply = (await acme.get(f"{WORKFLOWS}?schema={schema}")).json()
        assert [one["id"] for one in reply["list"]] == ids
    await acme.patch(path, json={"draft": True})
    job = await acme.post(JOBS, json={"workflow_id": made["id"], "args": {"a": "b"}})
    assert (job.status_code, list(job.json()["fields"])) == (422, ["workflow_id"])
    assert (await acme.get(f"{WORKFLOWS}/{uuid.uuid4()}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"name": "cannot be blank"}),
        ({"name": "x", "steps": [1]}, {"steps": {"0": "must be an object"}}),
        ({"name": "x", "rescue": [{}]}, {"rescue": {"0": {"action": "cannot be blank"}}}),
        (
            {"name": "x", "steps": [STATE | {"next": [{"steps": [{}]}]}]},
            {"steps": {"0": {"next": {"0": {"steps": {"0": {"action": "cannot be blank"}}}}}}},
        ),
        (
            {"name": "x", "steps": [STATE | {"next": 1}]},
            {"steps": {"0": {"next": "must be a list"}}},
        ),
    ],
)
async def test_impossible_workflows_are_422(
    acme: httpx.AsyncClient, body: dict[str, Any], fields: dict[str, Any]
) -> None:
    """Every step needs an action, at any depth."""
    reply = await acme.put(f"{WORKFLOWS}/{uuid.uuid4()}", json=body)
    assert (reply.status_code, reply.json()["fields"]) == (422, fields)
