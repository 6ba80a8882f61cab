"""Jobs that wait for somebody else: poked by an application, or for a webhook's receiver."""

import uuid
from typing import Any

import httpx
import pytest

JOBS = "/transform/v1/jobs"
INTENTS = f"{JOBS}/intents"


@pytest.fixture
async def waiting(acme: httpx.AsyncClient) -> Any:
    """A job that waits in its first step, with the reference `ref-1`."""
    workflow = str(uuid.uuid4())
    step = {"action": "agreement.wait.approval", "config": {"ref": "ref-1"}}
    body = {"name": "Own", "steps": [step, {"action": "mail.send"}]}
    await acme.put(f"/transform/v1/workflows/{workflow}", json=body)
    made = await acme.post(f"{JOBS}?wait=1", json={"workflow_id": workflow, "args": {"a": "b"}})
    assert (made.status_code, made.json()["status"]) == (202, "RUN")
    return made.json()


async def test_a_job_waits_and_is_poked(
    acme: httpx.AsyncClient, application: httpx.AsyncClient, waiting: Any
) -> None:
    """Its steps stand still until then, and are done right afterwards."""
    (intent,) = waiting["intents"]
    assert (intent["completed"], len(intent["events"])) == (False, 2)
    poked = await application.post(INTENTS, json={"ref": "ref-1", "status": "POKE"})
    assert (poked.status_code, poked.json()["id"]) == (200, intent["id"])
    job = (await acme.get(f"{JOBS}/{waiting['id']}")).json()
    assert (job["status"], len(job["intents"])) == ("OK", 2)
    statuses = [event["status"] for event in job["intents"][0]["events"]]
    assert statuses == ["QUEUED", "RUN", "POKE", "OK"]
    again = await application.post(INTENTS, json={"ref": "ref-1", "status": "POKE"})
    assert again.status_code == 404


async def test_an_intent_can_be_ended_by_its_id(
    acme: httpx.AsyncClient, application: httpx.AsyncClient, waiting: Any
) -> None:
    """With a status that is final; others are only recorded."""
    named = {"id": waiting["intents"][0]["id"], "job_id": waiting["id"]}
    await application.post(INTENTS, json=named | {"status": "RUN", "message": "half way"})
    assert (await acme.get(f"{JOBS}/{waiting['id']}")).json()["status"] == "RUN"
    body = named | {"status": "KO", "code": "XX123", "message": "refused"}
    await application.post(INTENTS, json=body)
    job = (await acme.get(f"{JOBS}/{waiting['id']}")).json()
    fault = {"provider": "agreement", "code": "XX123", "message": "refused"}
    assert (job["status"], job["faults"]) == ("KO", [fault])


async def test_who_may_poke(
    acme: httpx.AsyncClient, application: httpx.AsyncClient, waiting: Any
) -> None:
    """Applications that are enrolled; and they must say what, and which."""
    body = {"ref": "ref-1", "status": "POKE"}
    assert (await acme.post(INTENTS, json=body)).status_code == 403
    assert (await application.post(INTENTS, json={"ref": "ref-1"})).status_code == 422
    assert (await application.post(INTENTS, json={"status": "POKE"})).status_code == 400
    other = body | {"job_id": str(uuid.uuid4())}
    assert (await application.post(INTENTS, json=other)).status_code == 404
