"""Families whose series grow with tenants and callers, and the text that a scrape shows of them.

A series is a plain number and its labels as text, so that a scrape only formats numbers: with the
library's objects it would take fifty times as long. The text is the library's, byte for byte.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from math import inf
from typing import Final

from prometheus_client.utils import floatToGoString

from gateway.observe.families import FAMILIES, Family

PREFIX: Final = "invopop_gateway_"
OTHER: Final = "other"
BOUNDED: Final = frozenset({"tenant", "caller"})  # labels that become `other` past `max_series`

_PIECE: Final = 512  # lines that are in memory as strings of their own


class CountedSeries:
    """One counter: `labels` is its label set as text, or "" without labels."""

    __slots__ = ("count", "labels")

    def __init__(self, labels: str) -> None:
        self.labels = labels
        self.count = 0


class Counters:
    """One family of counters. Past `max_series` of them, new tenants and callers share `other`."""

    def __init__(self, name: str, max_series: int) -> None:
        self._family = family_of(name)
        self._max_series = max_series
        self._series: dict[tuple[str, ...], CountedSeries] = {}

    def count(self, *values: str) -> None:
        """Adds one to the series with these label values, in the table's order."""
        (self._series.get(values) or self._add(values)).count += 1

    def _add(self, values: tuple[str, ...]) -> CountedSeries:
        labels = self._family.labels
        if len(self._series) >= self._max_series:
            pairs = zip(labels, values, strict=True)
            values = tuple(OTHER if label in BOUNDED and v else v for label, v in pairs)
            if (shared := self._series.get(values)) is not None:
                return shared
        series = self._series[values] = CountedSeries(label_text(labels, values))
        return series

    def text(self, openmetrics: bool) -> Iterator[str]:
        """The family as it stands, in pieces; called in the thread that scrapes."""
        series = list(self._series.values())
        return counters_text(self._family, ((one.labels, one.count) for one in series), openmetrics)


class KeyGauges:
    """A gauge of keys, read from the vault at each scrape: tenant, slot, value."""

    def __init__(self, name: str, limit: int) -> None:
        self._family = family_of(name)
        self._limit = limit
        self._lines: dict[tuple[str, str, float], str] = {}  # of the last scrape
        self.read: Callable[[], Iterable[tuple[str, str, float]]] = tuple

    def text(self, openmetrics: bool) -> Iterator[str]:
        """In pieces. Past `limit` series the tenants share `other`: the least of their values."""
        yield heading(self._family, openmetrics)
        values = iter(self.read())
        before = self._lines
        # What is not among the values any more is forgotten.
        self._lines = {
            one: before.get(one) or self._line(*one) for one in islice(values, self._limit)
        }
        yield "".join(self._lines.values())
        rest: dict[str, float] = {}
        for _, slot, value in values:
            rest[slot] = min(value, rest.get(slot, inf))
        for slot, value in rest.items():
            yield self._line(OTHER, slot, value)

    def _line(self, tenant: str, slot: str, value: float) -> str:
        labels = label_text(self._family.labels, (tenant, slot))
        return f"{PREFIX}{self._family.name}{labels} {number(value)}\n"


def family_of(name: str) -> Family:
    """The family's row in the table."""
    return next(family for family in FAMILIES if family.name == name)


def heading(family: Family, openmetrics: bool) -> str:
    """The lines in front of a family's samples; OpenMetrics names a counter without `_total`."""
    name = PREFIX + (family.name.removesuffix("_total") if openmetrics else family.name)
    meaning = family.meaning.replace("\\", r"\\").replace("\n", r"\n")
    if openmetrics:
        meaning = meaning.replace('"', r"\"")
    return f"# HELP {name} {meaning}\n# TYPE {name} {family.kind}\n"


def counters_text(
    family: Family, series: Iterator[tuple[str, int]], openmetrics: bool
) -> Iterator[str]:
    """A family of counters, in pieces: each one's label set as text, and its count."""
    name = PREFIX + family.name
    yield heading(family, openmetrics)
    while part := [f"{name}{text} {_whole(count)}\n" for text, count in islice(series, _PIECE)]:
        yield "".join(part)


def label_text(names: Sequence[str], values: Sequence[str]) -> str:
    """A label set as both formats have it, in braces; "" without labels."""
    pairs = sorted(zip(names, values, strict=True))
    return (
        "{" + ",".join(f'{name}="{escaped(value)}"' for name, value in pairs) + "}" if pairs else ""
    )


def escaped(value: str) -> str:
    """A label's value as both formats have it, between its quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def number(value: float) -> str:
    """A value as both formats have it."""
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def _whole(count: int) -> str:
    """As `number`, for what is counted; faster."""
    if count < 1_000_000:
        return f"{count}.0"
    digits = str(count)
    if len(digits) > 10:
        return number(count)
    mantissa = f"{digits[0]}.{digits[1:]}".rstrip("0.")
    return f"{mantissa}e+0{len(digits) - 1}"
