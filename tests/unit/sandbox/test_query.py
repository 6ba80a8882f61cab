"""Queries: filters, order, pages, counts; and what is not a query."""

from typing import Any

import httpx
import pytest

from gateway.sandbox import samples

QUERY = "/silo/v1/entries/query"


@pytest.fixture
async def stored(acme: httpx.AsyncClient) -> list[str]:
    """The codes of three invoices, oldest first; the second was sent, the third is cheap."""
    codes = ["A-1", "A-2", "B-3"]
    for code in codes:
        document = samples.invoice(code)
        if code == "B-3":
            document["lines"] = document["lines"][2:]
        made = (await acme.post("/silo/v1/entries", json={"data": document})).json()
        if code == "A-2":
            await acme.post(f"/silo/v1/entries/{made['id']}/states", json={"key": "sent"})
    await acme.post(
        "/silo/v1/entries",
        json={"data": {"$schema": "https://gobl.org/draft-0/org/party", "name": "P"}},
    )
    return codes


async def _codes(client: httpx.AsyncClient, **query: Any) -> list[str]:
    reply = await client.get(QUERY, params={"schema": "bill/invoice", **query})
    assert reply.status_code == 200, reply.text
    return [entry["snippet"]["code"] for entry in reply.json()["list"]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["A-1", "A-2", "B-3"]),
        ('state = "sent"', ["A-2"]),
        ('state != "sent"', ["A-1", "B-3"]),
        ('code = "A-1" OR code = "B-3"', ["A-1", "B-3"]),
        ('(code = "A-1" OR code = "A-2") AND state = "sent"', ["A-2"]),
        ("payable < 200", ["B-3"]),
        ('payable >= "200" AND series = "SAND"', ["A-1", "A-2"]),
        (
            'supplier_country = "ES" AND customer_name = "Cafetería El Puerto S.L."',
            ["A-1", "A-2", "B-3"],
        ),
        ('code = "a\\"b"', []),
        ("signed = true", []),
        ('issue_date > "2999-01-01"', []),
    ],
)
async def test_filters(
    acme: httpx.AsyncClient, stored: list[str], text: str, found: list[str]
) -> None:
    """Terms joined by AND, values of one field by OR; numbers are compared as numbers."""
    assert await _codes(acme, filter=text, order_by="code") == found
    params = {"schema": "bill/invoice", "filter": text}
    counted = (await acme.get(f"{QUERY}/count", params=params)).json()
    assert (counted["schema"], counted["count"]) == ("bill/invoice", len(found))


async def test_order_and_pages(acme: httpx.AsyncClient, stored: list[str]) -> None:
    """Newest first unless told otherwise; the cursor leads through all, of this query only."""
    assert await _codes(acme, order_by="payable desc", limit=1) != ["B-3"]
    assert (await _codes(acme, order_by="payable"))[0] == "B-3"
    params = {"schema": "bill/invoice", "order_by": "code desc", "limit": "2", "count": "true"}
    first = (await acme.get(QUERY, params=params)).json()
    assert (first["count"], len(first["list"]), bool(first["watermark"])) == (3, 2, True)
    rest = await _codes(acme, order_by="code desc", limit=2, cursor=first["next_cursor"])
    assert rest == ["A-1"]
    other = {"schema": "bill/invoice", "order_by": "code", "cursor": first["next_cursor"]}
    assert (await acme.get(QUERY, params=other)).status_code == 400


async def test_only_the_fields_asked_for(acme: httpx.AsyncClient, stored: list[str]) -> None:
    """Those of the entry and of its snippet; its id always."""
    params = {"schema": "bill/invoice", "filter": 'code = "A-2"', "fields": "state,code"}
    (entry,) = (await acme.get(QUERY, params=params)).json()["list"]
    assert set(entry) == {"id", "state", "snippet"}
    assert (entry["state"], entry["snippet"]) == ("sent", {"code": "A-2"})


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"schema": "bill/invoice", "filter": "state"},
        {"schema": "bill/invoice", "filter": 'state = "sent" code = "1"'},
        {"schema": "bill/invoice", "filter": 'state = "sent" OR code = "1"'},
        {"schema": "bill/invoice", "filter": '(state = "sent"'},
        {"schema": "bill/invoice", "filter": 'state = "sent" AND'},
        {"schema": "bill/invoice", "filter": 'colour = "red"'},
        {"schema": "bill/invoice", "filter": "state = 'sent'"},
        {"schema": "bill/invoice", "order_by": "colour"},
        {"schema": "bill/invoice", "order_by": "code down"},
        {"schema": "bill/invoice", "cursor": "x"},
        {"schema": "bill/invoice", "count": "maybe"},
    ],
)
async def test_what_is_not_a_query_is_400(acme: httpx.AsyncClient, query: dict[str, str]) -> None:
    """A mistake is never taken for a filter that everything, or nothing, fits."""
    assert (await acme.get(QUERY, params=query)).status_code == 400
