"""What makes a GOBL document invalid, as faults with their paths. Decides; changes nothing."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any, Final

from gateway.sandbox.refusals import Fault
from gateway.sandbox.store import Json
from gateway.sandbox.totals import amount, country_of, currency_of, percent_of, percentage

SCHEMAS: Final = "https://gobl.org/draft-0/"
INVOICE: Final = SCHEMAS + "bill/invoice"
_TYPES: Final = ("standard", "proforma", "corrective", "credit-note", "debit-note", "other")
_BLANK: Final = "cannot be blank"
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_TAX_CODE: Final = re.compile(r"[A-Z0-9]{2,20}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_REQUIRED: Final[dict[str, str]] = {
    SCHEMAS + "org/party": "name",
    SCHEMAS + "org/item": "name",
    SCHEMAS + "note/message": "content",
}

Path = tuple[str | int, ...]


def faults_of(document: Json) -> tuple[Fault, ...]:
    """All that is wrong with a document; empty for a valid one."""
    schema = document.get("$schema")
    if not schema:
        return (Fault(("$schema",), _BLANK),)
    if not isinstance(schema, str) or not schema.startswith(SCHEMAS):
        return (Fault(("$schema",), "unknown schema"),)
    if schema == INVOICE:
        return tuple(_invoice(document))
    required = _REQUIRED.get(schema)
    return tuple(_text(document, required, ())) if required else ()


def _invoice(document: Json) -> Iterator[Fault]:
    country = country_of(document)
    if document.get("type", "standard") not in _TYPES:
        yield Fault(("type",), "must be a valid value")
    if "issue_date" in document and not _is_date(document["issue_date"]):
        yield Fault(("issue_date",), "invalid date")
    currency = document.get("currency") or currency_of(country)
    if not currency:
        yield Fault(("currency",), _BLANK)
    elif not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        yield Fault(("currency",), "must be a valid value")
    if not isinstance(document.get("tax") or {}, dict):
        yield Fault(("tax",), "must be an object")
    yield from _party(document.get("supplier"), ("supplier",))
    if document.get("customer") is not None:
        yield from _party(document["customer"], ("customer",))
    yield from _rows(document, "lines", country)
    for name in ("discounts", "charges"):
        yield from _adjustments(document, (), name, country)


def _party(party: Any, path: Path) -> Iterator[Fault]:
    if not isinstance(party, dict):
        yield Fault(path, _BLANK)
        return
    yield from _text(party, "name", path)
    tax_id = party.get("tax_id")
    if tax_id is None:
        return
    if not isinstance(tax_id, dict):
        yield Fault((*path, "tax_id"), "must be an object")
        return
    if not _COUNTRY.fullmatch(str(tax_id.get("country") or "")):
        yield Fault((*path, "tax_id", "country"), "must be a valid value")
    if tax_id.get("code") is not None and not _TAX_CODE.fullmatch(str(tax_id["code"])):
        yield Fault((*path, "tax_id", "code"), "must be in a valid format")


def _rows(document: Json, name: str, country: str) -> Iterator[Fault]:
    lines = document.get(name)
    if not isinstance(lines, list) or not lines:
        yield Fault((name,), _BLANK)
        return
    for index, line in enumerate(lines):
        path: Path = (name, index)
        if isinstance(line, dict):
            yield from _line(line, path, country)
        else:
            yield Fault(path, "must be an object")


def _line(line: Json, path: Path, country: str) -> Iterator[Fault]:
    if amount(line.get("quantity")) is None:
        yield Fault((*path, "quantity"), "must be an amount")
    item = line.get("item")
    if isinstance(item, dict):
        yield from _text(item, "name", (*path, "item"))
        if amount(item.get("price")) is None:
            yield Fault((*path, "item", "price"), "must be an amount")
    else:
        yield Fault((*path, "item"), _BLANK)
    yield from _taxes(line, path, country)
    for name in ("discounts", "charges"):
        yield from _adjustments(line, path, name, country)


def _adjustments(owner: Json, path: Path, name: str, country: str) -> Iterator[Fault]:
    for index, row in enumerate(_listed(owner, name)):
        place = (*path, name, index)
        if not isinstance(row, dict):
            yield Fault(place, "must be an object")
        elif row.get("percent") is not None and percentage(row["percent"]) is None:
            yield Fault((*place, "percent"), "must be a percentage")
        elif row.get("percent") is None and amount(row.get("amount")) is None:
            yield Fault((*place, "amount"), "must be an amount")
        else:
            yield from _taxes(row, place, country)


def _taxes(owner: Json, path: Path, country: str) -> Iterator[Fault]:
    for index, tax in enumerate(_listed(owner, "taxes")):
        place = (*path, "taxes", index)
        if not isinstance(tax, dict):
            yield Fault(place, "must be an object")
        elif not isinstance(tax.get("cat"), str) or not tax["cat"]:
            yield Fault((*place, "cat"), _BLANK)
        elif percent_of(tax, country) is None:
            yield Fault((*place, "percent"), "must be a percentage, or a rate known in the country")


def _listed(owner: Json, name: str) -> list[Any]:
    """A member that may be absent; anything but a list counts as one wrong row."""
    value = owner.get(name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value if not isinstance(value, dict) else None]


def _text(owner: Json, name: str, path: Path) -> Iterator[Fault]:
    value = owner.get(name)
    if not isinstance(value, str) or not value.strip():
        yield Fault((*path, name), _BLANK)


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) == 10 and bool(date.fromisoformat(value))
    except ValueError:
        return False
