"""The calls, bodies and parsing of Invopop's own clients, through the gateway to the sandbox.

What they send is written down here, and what they read is read as strictly as they do. The key is
one that the sandbox issues to its application. More of the Go client's: test_official_go_client.
"""

import uuid
from collections.abc import Iterator
from typing import Final

import pytest

from gateway.sandbox.samples import WORKFLOW_ID, invoice
from tests.support.official_clients import (
    ENTRIES,
    ENTRY,
    EVENT,
    FILE,
    GO,
    INTENT,
    JOB,
    OWNER,
    RUBY,
    Client,
    in_front_of_the_sandbox,
    parsed,
)

# What the gem's structures coerce: a time must be one, a number a number.
RUBY_ENTRY: Final = {
    **dict.fromkeys(("id", "created_at", "updated_at", "env_schema", "doc_schema"), str),
    **dict.fromkeys(("tags", "attachments"), list),
    "data": dict,
}
RUBY_JOB: Final = {
    **dict.fromkeys(("id", "created_at", "updated_at", "silo_entry_id", "workflow_id"), str),
    **dict.fromkeys(("status", "completed_at"), str),
    **dict.fromkeys(("tags", "intents", "attachments"), list),
    "envelope": dict,
}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """That of a gateway in front of the sandbox, its tenant's key issued by that."""
    with in_front_of_the_sandbox(tmp_path_factory.mktemp("official")) as port:
        yield port


def test_the_go_client(port: int) -> None:
    """Ping, an entry and a job by id and by key, a page of entries: each is what it decodes."""
    client, entry, job = Client(port, GO), str(uuid.uuid1()), str(uuid.uuid1())
    assert client.done("GET", "/utils/v1/ping") == {"ping": "pong"}
    body = {"folder": "sales", "data": invoice("GO-1"), "key": "go-1"}
    made = parsed(client.done("PUT", f"/silo/v1/entries/{entry}", body), ENTRY)
    assert (made["id"], made["key"]) == (entry, "go-1")
    for target in (f"/silo/v1/entries/{entry}", "/silo/v1/entries/key/go-1"):
        assert parsed(client.done("GET", target), ENTRY)["id"] == entry
    page = parsed(client.done("GET", "/silo/v1/entries?folder=sales&limit=2"), ENTRIES)
    assert entry in [parsed(one, ENTRY)["id"] for one in page["list"]]
    wanted = {"workflow_id": WORKFLOW_ID, "silo_entry_id": entry, "key": "go-job", "args": {}}
    ended = parsed(client.done("PUT", f"/transform/v1/jobs/{job}?wait=20", wanted), JOB)
    assert ended["completed_at"]
    assert not ended.get("faults")
    for intent in ended["intents"]:
        for event in parsed(intent, INTENT)["events"]:
            parsed(event, EVENT)
    for target in (f"/transform/v1/jobs/{job}", "/transform/v1/jobs/key/go-job"):
        assert parsed(client.done("GET", target), JOB)["id"] == job
    signed = parsed(client.done("GET", f"/silo/v1/entries/{entry}"), ENTRY)
    assert signed["signed"]
    assert [parsed(file, FILE)["mime"] for file in signed["attachments"]] == ["application/pdf"]


def test_the_go_clients_errors(port: int) -> None:
    """Its error has `code` and `message` filled, by Invopop's errors and by the gateway's own."""
    client = Client(port, GO)
    status, error = client.call("GET", f"/silo/v1/entries/{uuid.uuid4()}")
    assert status == 404
    assert parsed(error, {"code": str, "message": str})["message"]
    credentials = {"owner_id": OWNER, "client_id": "x", "client_secret": "y"}
    status, error = client.call("POST", "/access/v1/enrollment/authorize", credentials)
    assert (status, error["code"]) == (403, "operation_denied")
    assert parsed(error, {"code": str, "message": str})["message"]


def test_the_ruby_client(port: int) -> None:
    """Ping, a UUID, an entry, the list of them, and a job with `wait`, as the gem makes them."""
    client, entry, job = Client(port, RUBY), str(uuid.uuid1()), str(uuid.uuid1())
    assert client.done("GET", "/utils/v1/ping")["ping"] == "pong"
    assert uuid.UUID(client.done("GET", "/utils/v1/uuid?v=4")["uuid"]).version == 4
    body = {"data": invoice("RUBY-1")}
    made = parsed(client.done("PUT", f"/silo/v1/entries/{entry}", body), RUBY_ENTRY)
    assert (made["id"], made["data"]["doc"]["code"]) == (entry, "RUBY-1")
    change = {"data": invoice("RUBY-2")}
    assert client.done("PATCH", f"/silo/v1/entries/{entry}", change)["id"] == entry
    page = client.done("GET", "/silo/v1/entries")
    assert entry in [parsed(one, RUBY_ENTRY)["id"] for one in page["list"]]
    wanted = {"workflow_id": WORKFLOW_ID, "silo_entry_id": entry}
    ended = parsed(client.done("PUT", f"/transform/v1/jobs/{job}?wait=20", wanted), RUBY_JOB)
    assert ended["completed_at"]
    assert parsed(client.done("GET", f"/transform/v1/jobs/{job}"), RUBY_JOB)["id"] == job
    status, error = client.call("GET", f"/transform/v1/jobs/{uuid.uuid4()}")
    assert (status, bool(error["message"])) == (404, True)
