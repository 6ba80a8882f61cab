"""Silo entries: made once, found by id, key, folder and text, changed with care, in versions."""

from typing import Any

import httpx
import pytest

from gateway.sandbox import samples
from gateway.sandbox.identifiers import uuid7

ENTRIES = "/silo/v1/entries"
V4 = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
PARTY = {"$schema": "https://gobl.org/draft-0/org/party", "name": "Aurora"}


async def _created(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await client.post(ENTRIES, json={"data": samples.invoice()} | body)
    assert reply.status_code == 200, reply.text
    entry: dict[str, Any] = reply.json()
    return entry


async def test_an_entry_comes_back_calculated(acme: httpx.AsyncClient) -> None:
    """POST answers the entry with its envelope; GET answers the same, by id and by key."""
    made = await _created(acme, key="invoice 1/ü")
    assert made["data"]["doc"]["totals"]["payable"] == "786.50"
    assert (made["folder"], made["draft"], made["signed"]) == ("invoices", True, False)
    assert made["doc_schema"] == "https://gobl.org/draft-0/bill/invoice"
    assert made["digest"] == made["data"]["head"]["dig"]
    assert (await acme.get(f"{ENTRIES}/{made['id']}")).json() == made
    assert (await acme.get(f"{ENTRIES}/{made['id'].upper()}")).json() == made
    for escaped in ("invoice%201%2F%C3%BC", "invoice%201/%C3%BC"):
        assert (await acme.get(f"{ENTRIES}/key/{escaped}")).json() == made
    assert (await acme.get(f"{ENTRIES}/key/invoice%201")).status_code == 404
    assert (await acme.get(f"{ENTRIES}/{uuid7()}")).status_code == 404


async def test_an_id_or_key_is_used_once(acme: httpx.AsyncClient) -> None:
    """Put again, an id is 409, also with the same body; so is a key; and nothing has changed."""
    entry_id = uuid7()
    body = {"data": samples.invoice(), "key": "k"}
    made = (await acme.put(f"{ENTRIES}/{entry_id}", json=body)).json()
    assert made["id"] == entry_id
    again = await acme.put(f"{ENTRIES}/{entry_id}", json=body)
    assert (again.status_code, again.json()) == (
        409,
        {"key": "conflict", "message": "entry already exists with same id"},
    )
    for request in (acme.post(ENTRIES, json=body), acme.put(f"{ENTRIES}/{uuid7()}", json=body)):
        reply = await request
        assert (reply.status_code, reply.json()["message"]) == (
            409,
            "entry already exists with same key",
        )
    assert (await acme.get(ENTRIES)).json()["list"][0]["updated_at"] == made["updated_at"]


async def test_an_invalid_document_is_422_with_fields(acme: httpx.AsyncClient) -> None:
    """Faults come as nested fields, nothing is stored; `allow_invalid` stores it, marked."""
    data = samples.invoice() | {"supplier": {"tax_id": {"country": "ES"}}}
    reply = await acme.post(ENTRIES, json={"data": data, "key": "k"})
    assert reply.status_code == 422
    assert reply.json()["key"] == "validation"
    assert reply.json()["message"] == "supplier.name: cannot be blank"
    assert reply.json()["fields"] == {"supplier": {"name": "cannot be blank"}}
    assert (await acme.get(f"{ENTRIES}/key/k")).status_code == 404
    kept = await acme.post(ENTRIES, json={"data": data, "key": "k", "allow_invalid": True})
    assert (kept.status_code, kept.json()["invalid"]) == (200, True)
    assert kept.json()["faults"][0]["paths"] == ["$.supplier.name"]


@pytest.mark.parametrize(
    ("entry_id", "data", "status"),
    [
        ("nonsense", samples.invoice(), 422),
        (V4, samples.invoice(), 422),
        (V4, PARTY, 200),
        ("018f0c5e-cdd0-11ed-afa1-0242ac120002", samples.invoice(), 200),
        (uuid7(), None, 422),
    ],
    ids=["no UUID", "v4 invoice", "v4 party", "v1 invoice", "no data"],
)
async def test_ids_are_uuids_that_fit_the_folder(
    acme: httpx.AsyncClient, entry_id: str, data: Any, status: int
) -> None:
    """Invoices want a time-based id; parties take any UUID."""
    reply = await acme.put(f"{ENTRIES}/{entry_id}", json={"data": data})
    assert reply.status_code == status, reply.text


async def test_lists_are_paged(acme: httpx.AsyncClient) -> None:
    """Newest first, or oldest; by folder and time; the cursor leads through every entry once."""
    ids = [(await _created(acme, key=str(n)))["id"] for n in range(3)]
    party = (await acme.post(ENTRIES, json={"data": PARTY})).json()["id"]

    async def listed(query: str) -> dict[str, Any]:
        reply = await acme.get(f"{ENTRIES}?{query}")
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    for ascending in ("true", "false"):
        seen, cursor = [], ""
        while True:
            page = await listed(f"limit=3&ascending={ascending}&cursor={cursor}")
            assert len(page["list"]) <= page["limit"] == 3
            assert "data" not in page["list"][0]
            seen += [entry["id"] for entry in page["list"]]
            cursor = page.get("next_cursor", "")
            if not cursor:
                break
        assert seen == ([*ids, party] if ascending == "true" else [party, *ids[::-1]])
    parties = await listed("folder=parties")
    assert ([entry["id"] for entry in parties["list"]], parties["folder"]) == ([party], "parties")
    assert (await listed("created_at=2000-01-01T00:00:00Z"))["list"] == []
    assert len((await listed("created_at=2000-01-01&ascending=true"))["list"]) == 4
    assert (await listed("limit=1000"))["limit"] == 100


@pytest.mark.parametrize(
    "query",
    ["limit=x", "limit=-1", "ascending=maybe", "created_at=today", "cursor=x", "cursor=%ff"],
)
async def test_senseless_queries_are_400(acme: httpx.AsyncClient, query: str) -> None:
    """What cannot be understood in a query is said so."""
    assert (await acme.get(f"{ENTRIES}?{query}")).status_code == 400


async def test_a_cursor_keeps_its_direction(acme: httpx.AsyncClient) -> None:
    """A cursor is refused with the other `ascending` than the call that produced it."""
    for _ in range(2):
        await _created(acme)
    cursor = (await acme.get(f"{ENTRIES}?limit=1")).json()["next_cursor"]
    assert (await acme.get(f"{ENTRIES}?cursor={cursor}")).status_code == 200
    assert (await acme.get(f"{ENTRIES}?cursor={cursor}&ascending=true")).status_code == 400


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("application/json", samples.invoice("new")),
        ("application/merge-patch+json", {"code": "new"}),
        ("application/merge-patch+json", {"doc": {"code": "new"}}),
        ("application/json-patch+json", [{"op": "replace", "path": "/code", "value": "new"}]),
        ("application/json-patch+json", [{"op": "replace", "path": "/doc/code", "value": "new"}]),
    ],
    ids=["whole", "merge document", "merge envelope", "patch document", "patch envelope"],
)
async def test_updates_make_a_new_version(acme: httpx.AsyncClient, kind: str, data: Any) -> None:
    """A document can be replaced or patched; what it was before stays to be read."""
    made = await _created(acme)
    body = {"data": data, "content_type": kind}
    changed = (await acme.patch(f"{ENTRIES}/{made['id']}", json=body)).json()
    assert changed["data"]["doc"]["code"] == "new"
    assert changed["data"]["head"]["uuid"] == made["data"]["head"]["uuid"]
    assert [version["version"] for version in changed["versions"]][1:] == [made["version"]]
    path = f"{ENTRIES}/{made['id']}/versions"
    old = (await acme.get(f"{path}/{made['version']}")).json()
    assert old == {"version": made["version"], "data": made["data"]}
    assert (await acme.get(f"{path}/none")).status_code == 404


async def test_updates_are_all_or_nothing(acme: httpx.AsyncClient) -> None:
    """An update with an invalid result, or that fits no content type, changes nothing."""
    made = await _created(acme)
    path = f"{ENTRIES}/{made['id']}"
    merge = "application/merge-patch+json"
    for body, status in (
        ({"data": {"lines": []}, "content_type": merge, "folder": "x"}, 422),
        ({"data": [], "content_type": merge}, 422),
        ({"data": {"a": 1}, "content_type": "text/plain"}, 400),
        ({"data": {"a": 1}, "content_type": "application/json-patch+json"}, 400),
    ):
        assert (await acme.patch(path, json=body)).status_code == status, body
    assert (await acme.get(path)).json() == made
    moved = (await acme.patch(path, json={"folder": "drafts"})).json()
    assert (moved["folder"], moved["version"]) == ("drafts", made["version"])


async def test_a_signed_envelope_stays(acme: httpx.AsyncClient) -> None:
    """Once signed, at creation or later, its contents are 409 to change; its folder is not."""
    early = await _created(acme, sign=True)
    late = await _created(acme)
    late = (await acme.patch(f"{ENTRIES}/{late['id']}", json={"sign": True})).json()
    for entry in (early, late):
        assert (entry["signed"], len(entry["data"]["sigs"])) == (True, 1)
        path = f"{ENTRIES}/{entry['id']}"
        assert (await acme.patch(path, json={"data": samples.invoice("x")})).status_code == 409
        assert (await acme.patch(path, json={"folder": "done"})).json()["folder"] == "done"


async def test_entries_from_previous_ones(acme: httpx.AsyncClient) -> None:
    """`previous_id` copies, patches or corrects an entry; the result relates to it."""
    first = await _created(acme)
    base = {"data": None, "previous_id": first["id"]}
    patch = {"data": {"code": "2"}, "content_type": "application/merge-patch+json"}
    second = await _created(acme, **base | patch)
    assert second["data"]["doc"]["code"] == "2"
    assert second["data"]["doc"]["uuid"] != first["data"]["doc"]["uuid"]
    note = await _created(acme, **base, correct={"credit": True})
    assert note["data"]["doc"]["type"] == "credit-note"
    unknown = await acme.post(ENTRIES, json={"previous_id": uuid7()})
    assert unknown.json()["fields"] == {"previous_id": "not found"}
    found = (await acme.get(f"{ENTRIES}/{first['id']}/related")).json()["list"]
    assert [(e["id"], e["context"]) for e in found] == [(note["id"], "preceding")]
    query = f"uuid={first['data']['doc']['uuid']}"
    for more, count in (("", 1), ("&context=preceding", 1), ("&context=line.item", 0)):
        reply = (await acme.get(f"{ENTRIES}/related?{query}{more}")).json()
        assert len(reply["list"]) == count
    assert (await acme.get(f"{ENTRIES}/related")).status_code == 400


async def test_search(acme: httpx.AsyncClient) -> None:
    """Free text in documents, in any case, by folder, in pages."""
    ids = [(await _created(acme, key=str(n)))["id"] for n in range(2)]
    await acme.post(ENTRIES, json={"data": PARTY})

    async def found(query: str) -> list[str]:
        reply = (await acme.get(f"/silo/v1/search?{query}")).json()
        return [entry["id"] for entry in reply["list"]]

    assert len(await found("q=aurora")) == 3
    assert await found("q=BARISTA") == ids[::-1]
    assert await found("q=barista&limit=1&offset=1") == ids[:1]
    assert await found("q=aurora&folder=invoices") == ids[::-1]
    assert await found("q=nowhere") == []
    assert (await acme.get("/silo/v1/search")).status_code == 400


async def test_states(acme: httpx.AsyncClient) -> None:
    """The latest state by its time is the entry's; one put again at a time is one."""
    path = f"{ENTRIES}/{(await _created(acme))['id']}"
    at = "2099-08-02T00:00:00.000Z"
    for _ in range(2):
        assert (await acme.put(f"{path}/states/{at}", json={"key": "paid"})).status_code == 200
    assert (await acme.put(f"{path}/states/{at}", json={"key": "void"})).status_code == 409
    for _ in range(2):
        sent = await acme.post(f"{path}/states", json={"key": "sent", "meta": {"by": "me"}})
        assert sent.json()["meta"] == {"by": "me"}
    states = (await acme.get(f"{path}/states")).json()["list"]
    assert [state["key"] for state in states] == ["paid", "sent", "sent"]
    assert (await acme.get(path)).json()["state"] == "paid"
    assert (await acme.post(f"{path}/states", json={})).status_code == 422
    assert (await acme.put(f"{path}/states/noon", json={"key": "x"})).status_code == 422


async def test_the_spool(acme: httpx.AsyncClient) -> None:
    """A spooled file downloads as it was, until it is deleted."""
    body = {"data": "aGk=", "name": "a b.xml", "type": "application/xml"}
    key = (await acme.post("/silo/v1/spool", json=body)).json()["key"]
    fetched = await acme.get(f"/silo/v1/spool/{key}")
    assert (fetched.text, fetched.headers["content-type"]) == ("hi", "application/xml")
    assert (await acme.delete(f"/silo/v1/spool/{key}")).status_code == 204
    assert (await acme.delete(f"/silo/v1/spool/{key}")).status_code == 404
    assert (await acme.get(f"/silo/v1/spool/{key}")).status_code == 404
    assert (await acme.post("/silo/v1/spool", json={"data": "%"})).status_code == 422
