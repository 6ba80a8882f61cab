"""The arithmetic of an invoice: lines, discounts, charges, taxes, totals.

Pure, and in decimals, never floats. `with_totals` takes a document in which `rules` found no fault.
"""

import re
from collections.abc import Iterable
from copy import deepcopy
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, NamedTuple

from gateway.sandbox.store import Json

RETAINED: Final = frozenset({"IRPF", "IRC", "IRS", "ISR"})
# Nine digits before the point: no product of two leaves the precision of Decimal.
_AMOUNT: Final = re.compile(r"-?\d{1,9}(\.\d{1,9})?")
_WITHOUT_CENTS: Final = frozenset({"CLP", "ISK", "JPY", "KRW", "PYG", "VND"})

# Enough for examples: the rates that a document may name instead of a percentage.
_VAT: Final[dict[str, dict[str, str]]] = {
    "DE": {"general": "19.0%", "reduced": "7.0%"},
    "ES": {"general": "21.0%", "reduced": "10.0%", "super-reduced": "4.0%"},
    "FR": {"general": "20.0%", "intermediate": "10.0%", "reduced": "5.5%"},
    "GB": {"general": "20.0%", "reduced": "5.0%"},
    "IT": {"general": "22.0%", "intermediate": "10.0%", "super-reduced": "4.0%"},
    "NL": {"general": "21.0%", "reduced": "9.0%"},
    "PT": {"general": "23.0%", "intermediate": "13.0%", "reduced": "6.0%"},
}
_CURRENCY: Final[dict[str, str]] = {
    "DE": "EUR", "ES": "EUR", "FR": "EUR", "GB": "GBP", "IT": "EUR", "NL": "EUR", "PT": "EUR",
    "US": "USD",
}  # fmt: skip


class _Share(NamedTuple):
    """A sum with the taxes on it: one line, or one discount or charge of the whole document."""

    total: Decimal
    taxes: list[Json]


def with_totals(document: Json) -> Json:
    """A copy of an invoice with each line's sum and total, and `totals`, worked out anew."""
    invoice = deepcopy(document)
    country, currency = country_of(invoice), str(invoice["currency"])
    shares = [
        _line(line, index, country, currency) for index, line in enumerate(invoice["lines"], 1)
    ]
    total = sum((share.total for share in shares), Decimal(0))
    parts = {
        name: _adjust(invoice.get(name), total, country, currency)
        for name in ("discounts", "charges")
    }
    shares += [_Share(-share.total, share.taxes) for share in parts["discounts"]]
    shares += parts["charges"]
    included = str((invoice.get("tax") or {}).get("prices_include") or "")
    totals: Json = {"sum": written(rounded(total, currency))}
    for name, key in (("discounts", "discount"), ("charges", "charge")):
        if parts[name]:
            totals[key] = written(_sum(parts[name]))
    invoice["totals"] = totals | _taxed(shares, included, currency)
    return invoice


def _sum(shares: Iterable[_Share]) -> Decimal:
    return sum((share.total for share in shares), Decimal(0))


def _line(line: Json, index: int, country: str, currency: str) -> _Share:
    item = line["item"]
    gross = rounded(_number(line["quantity"]) * _number(item["price"]), currency)
    line["i"], line["sum"] = index, written(gross)
    less = _sum(_adjust(line.get("discounts"), gross, country, currency))
    more = _sum(_adjust(line.get("charges"), gross, country, currency))
    line["total"] = written(gross - less + more)
    return _Share(gross - less + more, _percents(line, country))


def _adjust(rows: Any, whole: Decimal, country: str, currency: str) -> list[_Share]:
    """Discounts or charges of a line or document, each a percentage of `whole` or an amount."""
    shares = []
    for row in rows or []:
        share = percentage(row.get("percent"))
        value = _number(row["amount"]) if share is None else whole * share
        row["amount"] = written(rounded(value, currency))
        shares.append(_Share(rounded(value, currency), _percents(row, country)))
    return shares


def _percents(owner: Json, country: str) -> list[Json]:
    """The taxes of a row, each with the percentage that its rate means."""
    for tax in owner.get("taxes") or []:
        percent = percent_of(tax, country)
        if percent:
            tax["percent"] = percent
    return list(owner.get("taxes") or [])


def _number(value: Any) -> Decimal:
    number = amount(value)
    if number is None:
        raise ValueError("not an amount")
    return number


def _taxed(shares: list[_Share], included: str, currency: str) -> Json:
    """The totals from `total` down: taxes by category and rate, and what is to be paid."""
    bases: dict[tuple[str, str, str], Decimal] = {}
    for share in shares:
        net = share.total / (1 + _included_rate(share, included))
        for row in share.taxes:
            group = (str(row["cat"]), str(row.get("key", "")), str(row.get("percent", "")))
            bases[group] = bases.get(group, Decimal(0)) + net
    categories = _categories(bases, currency)
    amounts = {category["code"]: Decimal(category["amount"]) for category in categories}
    total = _sum(shares) - amounts.get(included, Decimal(0))
    tax = sum((value for code, value in amounts.items() if code not in RETAINED), Decimal(0))
    retained = sum((value for code, value in amounts.items() if code in RETAINED), Decimal(0))
    taxes: Json = {"categories": categories, "sum": _money(tax, currency)}
    answer: Json = {}
    if included in amounts:
        answer["tax_included"] = _money(amounts[included], currency)
    answer |= {"total": _money(total, currency), "taxes": taxes, "tax": _money(tax, currency)}
    answer["total_with_tax"] = _money(total + tax, currency)
    if retained:
        taxes["retained"] = answer["retained_tax"] = _money(retained, currency)
    answer["payable"] = _money(total + tax - retained, currency)
    return answer


def _included_rate(share: _Share, included: str) -> Decimal:
    """The factor of the tax that is already in a price, 0 if none is."""
    rates = [percentage(tax.get("percent")) for tax in share.taxes if tax["cat"] == included]
    return next((rate for rate in rates if rate is not None), Decimal(0))


def _categories(bases: dict[tuple[str, str, str], Decimal], currency: str) -> list[Json]:
    categories: dict[str, Json] = {}
    for (code, key, percent), base in bases.items():
        rate = {"base": _money(base, currency), "amount": "0"}
        rate |= ({"key": key} if key else {}) | ({"percent": percent} if percent else {})
        rate["amount"] = _money(base * (percentage(percent) or 0), currency)
        category = categories.setdefault(code, {"code": code, "rates": []})
        category["rates"].append(rate)
        if code in RETAINED:
            category["retained"] = True
    for category in categories.values():
        amounts = (Decimal(rate["amount"]) for rate in category["rates"])
        category["amount"] = _money(sum(amounts, Decimal(0)), currency)
    return list(categories.values())


def _money(value: Decimal, currency: str) -> str:
    return written(rounded(value, currency))


def country_of(document: Json) -> str:
    """The country whose tax rules a document follows, or ""."""
    supplier = document.get("supplier")
    tax_id = supplier.get("tax_id") if isinstance(supplier, dict) else None
    country = tax_id.get("country") if isinstance(tax_id, dict) else None
    return str(document.get("$regime") or country or "")


def amount(value: Any) -> Decimal | None:
    """A GOBL amount (a decimal string, or a JSON number that is whole), or None if it is none."""
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value):
        return None
    return Decimal(value)


def percentage(value: Any) -> Decimal | None:
    """`"21.0%"` or `"0.21"` as a factor, or None."""
    if not isinstance(value, str):
        return None
    number = amount(value.removesuffix("%"))
    if number is None or not 0 <= number <= 1000:
        return None
    return number / 100 if value.endswith("%") else number


def rounded(value: Decimal, currency: str) -> Decimal:
    """Rounded to the currency's smallest unit, halves away from zero."""
    unit = Decimal(1) if currency in _WITHOUT_CENTS else Decimal("0.01")
    return value.quantize(unit, ROUND_HALF_UP)


def written(value: Decimal) -> str:
    """A rounded amount as a document holds it."""
    return f"{value:f}"


def currency_of(country: str) -> str:
    """The currency of a country that the sandbox knows, or ""."""
    return _CURRENCY.get(country, "")


def percent_of(tax: dict[str, Any], country: str) -> str | None:
    """The percentage of a tax row: its own, else what its rate means in that country.

    None if it has neither; "" for a rate that has no percentage, such as an exemption.
    """
    if tax.get("percent") is not None:
        return tax["percent"] if percentage(tax["percent"]) is not None else None
    names = {str(tax.get("rate", "")), str(tax.get("key", ""))}
    if names & {"exempt", "reverse-charge", "export", "outside-scope"}:
        return ""
    if "zero" in names:
        return "0.0%"
    known = _VAT.get(country, {}) if tax.get("cat") == "VAT" else {}
    if names & {"standard", "general"}:
        return known.get("general")
    return known.get(str(tax.get("rate", "")))
