"""GOBL: the arithmetic and the rules as tables, and the three operations."""

import json
from typing import Any

import httpx
import jwt
import pytest

from gateway.sandbox import samples
from gateway.sandbox.gobl import ENVELOPE, build, digest
from gateway.sandbox.refusals import Refusal
from gateway.sandbox.rules import faults_of
from gateway.sandbox.sandbox import Sandbox

Json = dict[str, Any]


def _line(price: str, quantity: str = "1", **more: Any) -> Json:
    taxes = [{"cat": "VAT", "percent": "21.0%"}]
    item = {"name": "Thing", "price": price}
    return {"quantity": quantity, "item": item, "taxes": taxes} | more


def _invoice(*lines: Json, **more: Any) -> Json:
    return samples.invoice() | {"lines": list(lines)} | more


TOTALS: list[tuple[str, Json, Json]] = [
    (
        "cents are rounded half up, per line",
        _invoice(_line("0.335", "3"), _line("1.005")),
        {"sum": "2.02", "total": "2.02", "tax": "0.42", "payable": "2.44"},
    ),
    (
        "no float would do",
        _invoice(_line("0.10", "3"), _line("0.20")),
        {"sum": "0.50", "tax": "0.11", "payable": "0.61"},
    ),
    (
        "line discounts and charges",
        _invoice(_line("100", discounts=[{"percent": "10%"}], charges=[{"amount": "5.00"}])),
        {"sum": "95.00", "tax": "19.95", "payable": "114.95"},
    ),
    (
        "discounts and charges of the whole",
        _invoice(
            _line("100"),
            discounts=[{"percent": "10%", "taxes": [{"cat": "VAT", "percent": "21.0%"}]}],
            charges=[{"amount": "4.00", "taxes": [{"cat": "VAT", "percent": "21.0%"}]}],
        ),
        {
            "sum": "100.00",
            "discount": "10.00",
            "charge": "4.00",
            "total": "94.00",
            "tax": "19.74",
            "payable": "113.74",
        },
    ),
    (
        "a retained tax is taken off",
        _invoice(
            _line(
                "1620",
                taxes=[{"cat": "VAT", "rate": "standard"}, {"cat": "IRPF", "percent": "15.0%"}],
            )
        ),
        {"tax": "340.20", "retained_tax": "243.00", "payable": "1717.20"},
    ),
    (
        "prices that include the tax",
        _invoice(*[_line("125.00")] * 12, tax={"prices_include": "VAT"}),
        {
            "sum": "1500.00",
            "tax_included": "260.33",
            "total": "1239.67",
            "tax": "260.33",
            "total_with_tax": "1500.00",
            "payable": "1500.00",
        },
    ),
    (
        "exempt and zero-rated",
        _invoice(
            _line("10", taxes=[{"cat": "VAT", "rate": "zero"}]),
            _line("20", taxes=[{"cat": "VAT", "key": "exempt"}]),
        ),
        {"total": "30.00", "tax": "0.00", "payable": "30.00"},
    ),
    (
        "a currency without cents",
        _invoice(_line("100.5", "3"), currency="JPY"),
        {"sum": "302", "tax": "63", "payable": "365"},
    ),
    (
        "the largest amounts",
        _invoice(_line("999999999.999999999", "999999999.999999999")),
        {"sum": "999999999999999998.00"},
    ),
]


@pytest.mark.parametrize(("why", "invoice", "expected"), TOTALS, ids=[row[0] for row in TOTALS])
def test_totals(why: str, invoice: Json, expected: Json) -> None:
    """Totals follow from lines, discounts, charges and taxes, in decimals."""
    before = json.dumps(invoice)
    document = build(invoice).envelope["doc"]
    assert {name: document["totals"].get(name) for name in expected} == expected
    assert json.dumps(invoice) == before
    again = build(document).envelope["doc"]
    assert again == document


def test_taxes_are_grouped_by_rate() -> None:
    """Each category lists its rates with base, percentage and amount."""
    taxes = build(samples.invoice()).envelope["doc"]["totals"]["taxes"]
    assert taxes["sum"] == "109.50"
    (category,) = taxes["categories"]
    assert (category["code"], category["amount"]) == ("VAT", "109.50")
    rows = [(rate["base"], rate["percent"], rate["amount"]) for rate in category["rates"]]
    assert rows == [("380.00", "21.0%", "79.80"), ("297.00", "10.0%", "29.70")]


WRONG: list[tuple[Json, str]] = [
    ({}, "$schema"),
    ({"$schema": "https://example.com/x"}, "$schema"),
    ({"$schema": "https://gobl.org/draft-0/org/party"}, "name"),
    (_invoice(_line("1"), type="bill"), "type"),
    (_invoice(_line("1"), issue_date="2025-02-30"), "issue_date"),
    (_invoice(_line("1"), currency="euro"), "currency"),
    (_invoice(_line("1"), tax="VAT"), "tax"),
    (_invoice(_line("1"), supplier=None), "supplier"),
    (_invoice(_line("1"), supplier={"name": " "}), "supplier.name"),
    (_invoice(_line("1"), customer={}), "customer.name"),
    (_invoice(_line("1"), customer={"name": "X", "tax_id": "ES1"}), "customer.tax_id"),
    (
        _invoice(_line("1"), customer={"name": "X", "tax_id": {"country": "Spain"}}),
        "customer.tax_id.country",
    ),
    (
        _invoice(_line("1"), customer={"name": "X", "tax_id": {"country": "ES", "code": "b-1"}}),
        "customer.tax_id.code",
    ),
    (_invoice(), "lines"),
    (_invoice() | {"lines": ["x"]}, "lines.0"),
    (_invoice(_line("1"), _line("1", "")), "lines.1.quantity"),
    (_invoice(_line("1") | {"item": None}), "lines.0.item"),
    (_invoice(_line("1,50")), "lines.0.item.price"),
    (_invoice(_line("1e3")), "lines.0.item.price"),
    (_invoice(_line("9999999999")), "lines.0.item.price"),
    (_invoice(_line("1", taxes=[{"percent": "21%"}])), "lines.0.taxes.0.cat"),
    (_invoice(_line("1", taxes=[{"cat": "VAT"}])), "lines.0.taxes.0.percent"),
    (_invoice(_line("1", taxes=[{"cat": "VAT", "percent": "-100%"}])), "lines.0.taxes.0.percent"),
    (_invoice(_line("1", taxes=[{"cat": "VAT", "rate": "unheard"}])), "lines.0.taxes.0.percent"),
    (_invoice(_line("1", taxes={"cat": "VAT"})), "lines.0.taxes.0"),
    (_invoice(_line("1", discounts=[{}])), "lines.0.discounts.0.amount"),
    (_invoice(_line("1"), charges=[{"percent": "x"}]), "charges.0.percent"),
]


@pytest.mark.parametrize(("document", "where"), WRONG, ids=[row[1] for row in WRONG])
def test_what_is_wrong_and_where(document: Json, where: str) -> None:
    """Each kind of fault is found, and named by its path, as one 422."""
    assert [".".join(map(str, fault.path)) for fault in faults_of(document)] == [where]
    with pytest.raises(Refusal) as refused:
        build(document)
    assert (refused.value.status, refused.value.key) == (422, "validation")
    assert build(document, allow_invalid=True).faults == refused.value.faults


def test_all_faults_come_at_once_as_nested_fields() -> None:
    """`fields` mirrors the document; `faults` lists the same with their paths."""
    with pytest.raises(Refusal) as refused:
        build(_invoice(_line("x"), _line("1", "x"), supplier={}))
    reply = json.loads(bytes(refused.value.response().body))
    assert reply["fields"] == {
        "supplier": {"name": "cannot be blank"},
        "lines": {
            "0": {"item": {"price": "must be an amount"}},
            "1": {"quantity": "must be an amount"},
        },
    }
    assert [fault["paths"] for fault in reply["faults"]] == [
        ["$.supplier.name"],
        ["$.lines[0].item.price"],
        ["$.lines[1].quantity"],
    ]


async def test_build(acme: httpx.AsyncClient) -> None:
    """A document comes back complete; `envelop`, or an envelope given, answers an envelope."""
    path = "/silo/v1/gobl/build"
    document = (await acme.post(path, json={"data": samples.invoice()})).json()["data"]
    assert (document["$regime"], document["totals"]["payable"]) == ("ES", "786.50")
    envelope = (await acme.post(path, json={"data": document, "envelop": True})).json()["data"]
    assert (envelope["$schema"], envelope["doc"]) == (ENVELOPE, document)
    assert envelope["head"]["dig"] == {"alg": "sha256", "val": digest(document)}
    again = (await acme.post(path, json={"data": envelope})).json()["data"]
    assert again == envelope
    assert (await acme.post(path, json={})).status_code == 400
    assert (await acme.post(path, json={"data": {"$schema": ENVELOPE}})).status_code == 422


async def test_sign(acme: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A signature is a JWS of the head; what was signed and then changed is refused."""
    path = "/silo/v1/gobl/sign"
    envelope = (await acme.post(path, json={"data": samples.invoice()})).json()["data"]
    (signature,) = envelope["sigs"]
    signed = jwt.api_jws.decode(signature, options={"verify_signature": False})
    assert jwt.get_unverified_header(signature)["alg"] == "ES256"
    assert json.loads(signed) == envelope["head"]
    assert (await acme.post(path, json={"data": envelope})).json()["data"] == envelope
    envelope["doc"]["code"] = "other"
    changed = await acme.post(path, json={"data": envelope})
    assert (changed.status_code, list(changed.json()["fields"])) == (422, ["head"])
    nameless = {k: v for k, v in samples.invoice().items() if k != "code"}
    refused = await acme.post(path, json={"data": nameless})
    assert refused.json()["fields"] == {"code": "cannot be blank"}


async def test_correct(acme: httpx.AsyncClient) -> None:
    """An invoice's envelope is corrected by a credit note that names it; a document is not."""
    path = "/silo/v1/gobl/correct"
    envelope = build(samples.invoice()).envelope
    reply = await acme.post(path, json={"data": envelope, "options": {"credit": True}})
    note = reply.json()["data"]["doc"]
    assert (note["type"], note["totals"]["payable"]) == ("credit-note", "786.50")
    assert note["preceding"][0]["code"] == "2025-001"
    assert note["uuid"] != envelope["doc"]["uuid"]
    assert "code" not in note
    options = await acme.post(path, json={"data": envelope, "show_options": True})
    assert "credit-note" in options.text
    for body in (
        {"data": samples.invoice(), "options": {"credit": True}},
        {"data": envelope, "options": {}},
    ):
        assert (await acme.post(path, json=body)).status_code == 422
