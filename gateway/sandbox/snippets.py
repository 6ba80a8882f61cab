"""The few members of a document that lists show, in the shape that Invopop's Go client reads."""

from typing import Any, Final

from gateway.sandbox.rules import INVOICE, SCHEMAS
from gateway.sandbox.store import Json

_INVOICE: Final = ("uuid", "type", "series", "code", "currency", "issue_date")
_TOTALS: Final = ("total", "tax", "total_with_tax", "payable")
_PARTY: Final = ("uuid", "name", "alias")
_OTHER: Final = ("uuid", "name", "title")


def snippet_of(document: Json) -> Json:
    """The snippet of an invoice, of a party, or of any other document."""
    schema = document.get("$schema")
    if schema == INVOICE:
        return _invoice(document)
    if schema == SCHEMAS + "org/party":
        return _party(document)
    return _present(document, _OTHER)


def _invoice(document: Json) -> Json:
    snippet = _present(document, _INVOICE)
    for role in ("supplier", "customer"):
        if isinstance(document.get(role), dict):
            snippet[role] = _party(document[role])
    snippet |= _present(document.get("totals"), _TOTALS)
    preceding = document.get("preceding")
    if isinstance(preceding, list) and preceding:
        former = _present(preceding[0], ("series", "code", "uuid"))
        snippet |= {f"p_{name}": value for name, value in former.items()}
    return snippet


def _party(party: Json) -> Json:
    tax_id = _present(party.get("tax_id"), ("country", "code"))
    snippet = _present(party, _PARTY)
    for name, shown in (("country", "country"), ("code", "tax_code")):
        if name in tax_id:
            snippet[shown] = tax_id[name]
    return snippet


def _present(owner: Any, names: tuple[str, ...]) -> Json:
    if not isinstance(owner, dict):
        return {}
    return {name: owner[name] for name in names if owner.get(name) is not None}
