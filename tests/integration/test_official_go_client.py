"""What else the Go client calls: numbers, meta rows, files, GOBL, queries, and pokes of jobs."""

import base64
import hashlib
import uuid
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from gateway.sandbox.samples import invoice
from tests.support.official_clients import (
    COUNT,
    ENTRY,
    FILE,
    FOUND,
    GO,
    INTENT,
    JOB,
    META,
    NUMBER,
    SERIES,
    Client,
    in_front_of_the_sandbox,
    parsed,
)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """That of a gateway in front of the sandbox, its tenant's key issued by that."""
    with in_front_of_the_sandbox(tmp_path_factory.mktemp("official")) as port:
        yield port


def drafted(client: Client, code: str) -> str:
    """The id of a new entry that holds an invoice of that code."""
    entry = str(uuid.uuid1())
    body = {"folder": "sales", "data": invoice(code)}
    return str(parsed(client.done("PUT", f"/silo/v1/entries/{entry}", body), ENTRY)["id"])


def test_the_go_client_numbers(port: int) -> None:
    """A series made with every member, also zeros; its first number is one; both are fetched."""
    client = Client(port, GO)
    path = f"/sequence/v1/series/{uuid.uuid4()}"
    empty = dict.fromkeys(("description", "code", "suffix"), "")
    body = {"name": "Sales", "prefix": "GO-", "padding": 5, "start": 0, **empty}
    made = parsed(client.done("PUT", path, body), SERIES)
    number, other = (f"{path}/entries/{uuid.uuid4()}" for _ in range(2))
    wanted = {"id": number.rpartition("/")[2], "meta": {"name": "John Doe"}}
    assert parsed(client.done("PUT", number, wanted), NUMBER)["code"] == "GO-00001"
    second = client.done("PUT", other, {"id": other.rpartition("/")[2]})
    assert parsed(second, NUMBER)["code"] == "GO-00002"
    assert parsed(client.done("GET", number), NUMBER)["code"] == "GO-00001"
    fetched = parsed(client.done("GET", path), SERIES)
    assert (fetched["last_index"], fetched["last_entry_id"]) == (2, second["id"])
    listed = parsed(client.done("GET", "/sequence/v1/series"), {"list": list})["list"]
    assert made["id"] in [parsed(one, SERIES)["id"] for one in listed]


def test_the_go_client_keeps_meta(port: int) -> None:
    """A row is set, fetched by key, by reference with and without owner, changed by it, deleted."""
    client, reference = Client(port, GO), str(uuid.uuid4())
    row = f"/silo/v1/entries/{drafted(client, 'GO-META')}/meta/service-id"
    body = {
        "ref": reference,
        "value": {"a": [1]},
        "url": "https://example.com/i",
        "scope": "public",
    }
    made = parsed(client.done("PUT", row, body | {"indexed": True, "shared": True}), META)
    assert (made["value"], made["link_url"], made["indexed"]) == ({"a": [1]}, body["url"], True)
    assert parsed(client.done("GET", row), META) == made
    by_reference = f"/silo/v1/entries/meta/service-id/{reference}"
    for target in (by_reference, f"{by_reference}?owned=true"):
        assert parsed(client.done("GET", target), META)["entry_id"] == made["entry_id"]
    changed = client.done("PUT", "/silo/v1/entries/meta/service-id", {"ref": reference, "value": 2})
    assert (parsed(changed, META)["id"], changed["value"]) == (made["id"], 2)
    assert parsed(client.done("DELETE", row), META)["id"] == made["id"]
    status, error = client.call("GET", row)
    assert (status, bool(parsed(error, {"code": str, "message": str})["message"])) == (404, True)


def test_the_go_client_keeps_files(port: int) -> None:
    """A file is made with base64 in JSON, replaced by key, and read back; so is a spooled one."""
    client, entry = Client(port, GO), f"/silo/v1/entries/{drafted(Client(port, GO), 'GO-FILE')}"
    content = bytes(range(256)) * 40
    body = {"name": "a b.bin", "data": base64.b64encode(content).decode(), "key": "logo"}
    body |= {"mime": "application/x-go", "category": "agreement"}
    for _ in range(2):
        path = f"{entry}/files/{uuid.uuid4()}"
        made = parsed(client.done("PUT", path, body | {"meta": {"a": "b"}}), FILE)
        assert (made["size"], made["hash"]) == (len(content), hashlib.sha256(content).hexdigest())
        assert client.download(path) == ("application/x-go", content)
    assert [parsed(one, FILE)["size"] for one in made["previous"]] == [len(content)]
    spooled = {"name": "s.bin", "type": "application/x-go", "data": body["data"]}
    key = parsed(client.done("POST", "/silo/v1/spool", spooled), {"key": str})["key"]
    assert client.download(f"/silo/v1/spool/{key}") == ("application/x-go", content)


def test_the_go_client_builds_and_signs(port: int) -> None:
    """GOBL is completed as an object or in an envelope, and signed; a bad one has `fields`."""
    client, data = Client(port, GO), invoice("GO-GOBL")
    built = client.done("POST", "/silo/v1/gobl/build", {"data": data, "envelop": False})["data"]
    assert built["totals"]["payable"]
    envelope = client.done("POST", "/silo/v1/gobl/build", {"data": data, "envelop": True})["data"]
    assert envelope["doc"]["totals"] == built["totals"]
    signed = client.done("POST", "/silo/v1/gobl/sign", {"data": envelope})["data"]
    assert signed["sigs"]
    wrong = {"data": {"$schema": data["$schema"]}, "envelop": False}
    status, error = client.call("POST", "/silo/v1/gobl/build", wrong)
    assert status == 422
    assert parsed(error, {"code": str, "message": str, "fields": dict})["fields"]


def test_the_go_client_queries(port: int) -> None:
    """Entries by a filter, ordered, counted, page by page; each is what it decodes."""
    client, series = Client(port, GO), f"Q{uuid.uuid4().hex[:8]}"
    entries = {drafted(client, f"{series}-{number}") for number in range(3)}
    terms = " OR ".join(f'code = "{series}-{number}"' for number in range(3))
    asked = {"schema": "bill/invoice", "filter": f'folder = "sales" AND ({terms})'}
    count = parsed(client.done("GET", "/silo/v1/entries/query/count?" + urlencode(asked)), COUNT)
    assert (count["count"], count["schema"]) == (3, "bill/invoice")
    asked |= {"order_by": "created_at desc", "limit": "2", "fields": "id,code", "count": "true"}
    first = parsed(client.done("GET", "/silo/v1/entries/query?" + urlencode(asked)), FOUND)
    asked["cursor"] = first["next_cursor"]
    second = parsed(client.done("GET", "/silo/v1/entries/query?" + urlencode(asked)), FOUND)
    shown = [parsed(entry, ENTRY)["id"] for entry in first["list"] + second["list"]]
    assert (set(shown), first["count"], len(first["list"])) == (entries, 3, 2)
    assert "next_cursor" not in second


def test_the_go_client_pokes(port: int) -> None:
    """A job that waits goes on once its intent is poked by reference."""
    client, reference, workflow = Client(port, GO), str(uuid.uuid4()), str(uuid.uuid4())
    step = {"action": "agreement.wait.approval", "config": {"ref": reference}}
    wanted = {"id": workflow, "name": "Own", "steps": [step]}
    client.done("PUT", f"/transform/v1/workflows/{workflow}", wanted)
    asked = {"workflow_id": workflow, "args": {"a": "b"}}
    job = client.done("POST", "/transform/v1/jobs?wait=1", asked)
    assert not parsed(job, JOB).get("completed_at")
    poke = {"ref": reference, "status": "POKE"}
    intent = parsed(client.done("POST", "/transform/v1/jobs/intents", poke), INTENT)
    assert intent["id"] == job["intents"][0]["id"]
    assert client.done("GET", f"/transform/v1/jobs/{job['id']}")["completed_at"]
