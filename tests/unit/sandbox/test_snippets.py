"""Snippets: the members that Invopop's Go client reads of them."""

import httpx

from gateway.sandbox import samples
from gateway.sandbox.snippets import snippet_of


async def test_an_invoice(acme: httpx.AsyncClient) -> None:
    """Who bills whom, and how much; without lines."""
    made = (await acme.post("/silo/v1/entries", json={"data": samples.invoice()})).json()
    document, snippet = made["data"]["doc"], made["snippet"]
    assert snippet["supplier"] == {
        "name": "Talleres Aurora S.L.", "country": "ES", "tax_code": "B12345674",
    }  # fmt: skip
    assert snippet["customer"]["tax_code"] == "B87654323"
    for name in ("total", "tax", "total_with_tax", "payable"):
        assert snippet[name] == document["totals"][name]
    for name in ("uuid", "type", "series", "code", "currency", "issue_date"):
        assert snippet[name] == document[name]


def test_a_correction_names_what_it_corrects() -> None:
    """Series and code of the invoice before."""
    schema = "https://gobl.org/draft-0/bill/invoice"
    preceding = [{"uuid": "u", "series": "S", "code": "1", "issue_date": "2026-01-01"}]
    document = {"$schema": schema, "code": "2", "preceding": preceding}
    assert snippet_of(document) == {"code": "2", "p_series": "S", "p_code": "1", "p_uuid": "u"}


def test_other_documents() -> None:
    """A party with its tax identity, a message with its title; what is malformed has none."""
    base = "https://gobl.org/draft-0/"
    party = {"$schema": base + "org/party", "name": "P", "tax_id": {"country": "FR", "code": "1"}}
    assert snippet_of(party) == {"name": "P", "country": "FR", "tax_code": "1"}
    message = {"$schema": base + "note/message", "title": "T", "content": "C"}
    assert snippet_of(message) == {"title": "T"}
    odd = {"$schema": base + "bill/invoice", "supplier": 1, "totals": [], "preceding": [None]}
    assert snippet_of(odd) == {}
