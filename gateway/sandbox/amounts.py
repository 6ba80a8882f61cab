"""Money and percentages as GOBL writes them: decimal strings, never floats. Pure."""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

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
