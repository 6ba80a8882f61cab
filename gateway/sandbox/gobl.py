"""GOBL envelopes: build, correct, sign; and the three operations of the silo that offer it."""

import hashlib
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import orjson
from starlette.responses import Response

from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.identifiers import uuid7
from gateway.sandbox.refusals import Fault, bad_request, invalid, invalid_field, reply
from gateway.sandbox.rules import INVOICE, SCHEMAS, faults_of
from gateway.sandbox.signing import Signer
from gateway.sandbox.store import Json
from gateway.sandbox.totals import country_of, currency_of, with_totals

ENVELOPE: Final = SCHEMAS + "envelope"


class Built(NamedTuple):
    """An envelope, calculated; `faults` are what its uploader allowed to be wrong."""

    envelope: Json
    faults: tuple[Fault, ...] = ()


def digest(value: Any) -> str:
    """SHA-256, in hex, of the canonical JSON of a value."""
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()


def document_of(data: Json) -> Json:
    """The document in an envelope, or the document itself. Raises a 422 refusal."""
    if data.get("$schema") != ENVELOPE:
        return data
    if not isinstance(data.get("doc"), dict):
        raise invalid_field("doc", "cannot be blank")
    document: Json = data["doc"]
    return document


def build(data: Json, *, allow_invalid: bool = False) -> Built:
    """An envelope made from an envelope or a document: completed, calculated, validated.

    Raises a 422 refusal for an invalid document, and for a signed one whose digest is wrong.
    """
    head = data.get("head") if data.get("$schema") == ENVELOPE else None
    head = dict(head) if isinstance(head, dict) else {}
    document = document_of(data)
    if data.get("sigs"):
        return _sealed(data, head)
    faults = faults_of(document)
    if faults and not allow_invalid:
        raise invalid(*faults)
    if document.get("$schema") == INVOICE and not faults:
        document = with_totals(_completed(document))
    head = {"uuid": uuid7()} | head | {"dig": {"alg": "sha256", "val": digest(document)}}
    return Built({"$schema": ENVELOPE, "head": head, "doc": document}, faults)


def _sealed(envelope: Json, head: Json) -> Built:
    """What is signed stays as it is, if it is what was signed."""
    if not isinstance(envelope["sigs"], list):
        raise invalid_field("sigs", "must be a list")
    if head.get("dig") != {"alg": "sha256", "val": digest(envelope["doc"])}:
        raise invalid(Fault(("head", "dig"), "does not match the document"))
    return Built(deepcopy(envelope))


def _completed(document: Json) -> Json:
    """An invoice with what may be left out."""
    country = country_of(document)
    defaults: Json = {"$schema": INVOICE}
    if country:
        defaults["$regime"] = country
    defaults |= {
        "uuid": uuid7(),
        "type": "standard",
        "issue_date": datetime.now(UTC).date().isoformat(),
        "currency": currency_of(country),
    }
    given = {name: value for name, value in document.items() if value is not None}
    return defaults | given


def sign(built: Built, signer: Signer) -> Built:
    """The envelope with one signature more. Raises a 422 refusal for what cannot be signed."""
    faults = built.faults
    document = built.envelope["doc"]
    if document.get("$schema") == INVOICE and not document.get("code"):
        faults += (Fault(("code",), "cannot be blank"),)
    if faults:
        raise invalid(*faults)
    if built.envelope.get("sigs"):
        return built
    return Built(built.envelope | {"sigs": [signer.signature(built.envelope["head"])]})


def correct(data: Json, options: Json) -> Json:
    """The document that corrects an invoice: a credit note, a debit note, a corrective invoice.

    `options` is `{"credit": true}`, `{"debit": true}` or `{"type": …}`. Raises a 422 refusal.
    """
    if data.get("$schema") != ENVELOPE:
        raise invalid_field("data", "must be an envelope")
    original = document_of(data)
    if original.get("$schema") != INVOICE:
        raise invalid_field("data", "only invoices can be corrected")
    kind = options.get("type")
    if options.get("credit") or options.get("debit"):
        kind = "credit-note" if options.get("credit") else "debit-note"
    if kind not in ("credit-note", "debit-note", "corrective"):
        raise invalid_field("options", "name a kind of correction")
    kept = ("uuid", "type", "issue_date", "series", "code")
    preceding = {name: original[name] for name in kept if name in original}
    if options.get("reason"):
        preceding["reason"] = options["reason"]
    dropped = {"uuid", "code", "issue_date", "totals", "type"}
    rest = {name: deepcopy(value) for name, value in original.items() if name not in dropped}
    return rest | {"type": kind, "preceding": [preceding]}


async def build_gobl(call: Call) -> Response:
    """POST /silo/v1/gobl/build."""
    body = await call.body({"data": dict, "envelop": bool})
    data = _data(body)
    return _answer(build(data), data, envelop=body.get("envelop", False))


async def correct_gobl(call: Call) -> Response:
    """POST /silo/v1/gobl/correct; `show_options` answers what the options may be."""
    body = await call.body({"data": dict, "options": dict, "show_options": bool})
    data = _data(body)
    if body.get("show_options"):
        kinds = {"enum": ["credit-note", "debit-note", "corrective"]}
        return reply({"data": {"type": "object", "properties": {"type": kinds}}})
    return reply({"data": build(correct(data, body.get("options", {}))).envelope})


async def sign_gobl(call: Call) -> Response:
    """POST /silo/v1/gobl/sign."""
    return reply(
        {"data": sign(build(_data(await call.body({"data": dict}))), call.state.signer).envelope}
    )


def _data(body: Json) -> Json:
    if "data" not in body:
        raise bad_request("data is required")
    data: Json = body["data"]
    return data


def _answer(built: Built, data: Json, *, envelop: bool) -> Response:
    whole = envelop or data.get("$schema") == ENVELOPE
    return reply({"data": built.envelope if whole else built.envelope["doc"]})


ENDPOINTS: Final = (
    Endpoint("POST", "/silo/v1/gobl/build", build_gobl),
    Endpoint("POST", "/silo/v1/gobl/correct", correct_gobl),
    Endpoint("POST", "/silo/v1/gobl/sign", sign_gobl),
)
