"""Queries of the silo: a filter over the fields of one schema's entries, an order, pages, a count.

The language is known from Invopop's Go client: terms joined by AND; OR between values of one
field only. Which fields there are is the sandbox's own choice: an entry's, and its snippet's.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

from starlette.responses import Response

from gateway.sandbox import entries
from gateway.sandbox.calls import Call, Endpoint
from gateway.sandbox.identifiers import timestamp
from gateway.sandbox.refusals import Refusal, bad_request, reply
from gateway.sandbox.rules import SCHEMAS
from gateway.sandbox.snippets import snippet_of
from gateway.sandbox.store import Json, SiloEntry

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<word>AND|OR)\b|(?P<mark>[()])|(?P<operator>!=|>=|<=|=|>|<)"
    r'|(?P<value>"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?\b|(?:true|false)\b)|(?P<field>[a-z_]+))'
)
_COMPARE: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
}
_OWN: Final = ("id", "key", "folder", "state", "created_at", "updated_at", "signed", "invalid")
# A document of a schema may leave any of them out.
_FIELDS: Final = frozenset({
    *_OWN, "uuid", "type", "series", "code", "currency", "issue_date", "total", "tax",
    "total_with_tax", "payable", "p_series", "p_code", "p_uuid", "name", "alias", "title",
    "country", "tax_code",
    *(f"{role}_{name}" for role in ("supplier", "customer")
      for name in ("uuid", "name", "alias", "country", "tax_code")),
})  # fmt: skip


class Term(NamedTuple):
    """One comparison, or several of one field of which one must hold."""

    field: str
    tests: tuple[tuple[str, str], ...]


class _Query(NamedTuple):
    schema: str
    filter: str
    terms: list[Term]


def parse(text: str) -> list[Term]:
    """The terms of a filter, all of which must hold. Raises a 400 refusal."""
    tokens = list(_tokens(text))
    terms: list[Term] = []
    while tokens:
        if terms and tokens.pop(0) != ("word", "AND"):
            raise _unfit("terms are joined by AND")
        terms.append(_term(tokens))
    return terms


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise _unfit(f"cannot be read at character {at + 1}")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _term(tokens: list[tuple[str, str]]) -> Term:
    enclosed = tokens[:1] == [("mark", "(")]
    if enclosed:
        tokens.pop(0)
    name, first = _comparison(tokens)
    tests = [first]
    while tokens[:1] == [("word", "OR")]:
        tokens.pop(0)
        other, test = _comparison(tokens)
        if other != name:
            raise _unfit("OR is only between values of one field")
        tests.append(test)
    if enclosed and (not tokens or tokens.pop(0) != ("mark", ")")):
        raise _unfit("a parenthesis is not closed")
    return Term(name, tuple(tests))


def _comparison(tokens: list[tuple[str, str]]) -> tuple[str, tuple[str, str]]:
    if [kind for kind, _ in tokens[:3]] != ["field", "operator", "value"]:
        raise _unfit('a comparison is such as state = "sent"')
    (_, name), (_, operator), (_, value) = tokens[:3]
    del tokens[:3]
    if name not in _FIELDS:
        raise _unfit(f"unknown field {name}")
    if value.startswith('"'):
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return name, (operator, value)


def _unfit(why: str) -> Refusal:
    return bad_request(f"filter: {why}")


def fields_of(entry: SiloEntry) -> Json:
    """What can be asked of an entry, by field name."""
    row: Json = {name: getattr(entry, name) for name in _OWN if name != "state"}
    row["state"] = entries.current_state(entry)
    for name, value in snippet_of(entry.envelope["doc"]).items():
        if isinstance(value, dict):
            row |= {f"{name}_{part}": member for part, member in value.items()}
        else:
            row.setdefault(name, value)
    return row


def holds(term: Term, row: Json) -> bool:
    """Whether a row fits the term; a field that it does not have fits only `!=`."""
    if row.get(term.field) in (None, ""):
        return any(operator == "!=" for operator, _ in term.tests)
    return any(
        _COMPARE[operator](*_comparable(row[term.field], value)) for operator, value in term.tests
    )


def _comparable(have: Any, wanted: str) -> tuple[Any, Any]:
    """Numbers as numbers, all else as text."""
    if isinstance(have, bool):
        return str(have).lower(), wanted
    try:
        return Decimal(str(have)), Decimal(wanted)
    except InvalidOperation:
        return str(have), wanted


async def find(call: Call) -> Response:
    """GET /silo/v1/entries/query."""
    query, order = _asked(call), call.query("order_by") or "created_at desc"
    found = _ordered(_matching(call, query), order)
    limit, mark = max(call.number("limit", 20, 100), 1), _mark(query, order)
    start = _start(call.query("cursor"), mark, [entry.id for entry in found])
    shown = found[start : start + limit]
    answer: Json = {
        "list": [_shown(call, entry) for entry in shown],
        "schema": query.schema,
        "limit": limit,
        "watermark": timestamp(),
    }
    if start + limit < len(found):
        answer["next_cursor"] = base64.urlsafe_b64encode(f"{mark}{shown[-1].id}".encode()).decode()
    if call.flag("count"):
        answer["count"] = len(found)
    for name in ("filter", "order_by", "cursor"):
        if call.query(name):
            answer[name] = call.query(name)
    return reply(answer)


async def count(call: Call) -> Response:
    """GET /silo/v1/entries/query/count."""
    query = _asked(call)
    answer: Json = {"schema": query.schema, "count": len(_matching(call, query))}
    return reply(answer | ({"filter": query.filter} if query.filter else {}))


def _asked(call: Call) -> _Query:
    schema, text = call.query("schema"), call.query("filter")
    if not schema:
        raise bad_request("schema is required")
    return _Query(schema, text, parse(text))


def _matching(call: Call, query: _Query) -> list[SiloEntry]:
    wanted = SCHEMAS + query.schema.removeprefix(SCHEMAS)
    return [
        entry
        for entry in call.workspace.entries.values()
        if entry.envelope["doc"].get("$schema") == wanted
        and all(holds(term, fields_of(entry)) for term in query.terms)
    ]


def _ordered(found: list[SiloEntry], order: str) -> list[SiloEntry]:
    name, _, direction = order.partition(" ")
    if name not in _FIELDS or direction not in ("", "asc", "desc"):
        raise bad_request("order_by is a field, and asc or desc")

    def place(entry: SiloEntry) -> tuple[Decimal, str]:
        value = str(fields_of(entry).get(name) or "")
        try:
            return Decimal(value), ""
        except InvalidOperation:
            return Decimal(0), value

    return sorted(found, key=place, reverse=direction == "desc")


def _mark(query: _Query, order: str) -> str:
    text = f"{query.schema}\0{query.filter}\0{order}"
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _start(cursor: str, mark: str, ids: list[str]) -> int:
    if not cursor:
        return 0
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        text = ""
    if text[:8] != mark or text[8:] not in ids:
        raise bad_request("the cursor is not one of this query")
    return ids.index(text[8:]) + 1


def _shown(call: Call, entry: SiloEntry) -> Json:
    """An entry as lists show it, or of it only what `fields` names, and its id."""
    shown = entries.shown(entry, call.state, data=False)
    if not call.query("fields"):
        return shown
    names = {name.strip() for name in call.query("fields").split(",")}
    part = {name: value for name, value in shown.items() if name in names | {"id"}}
    snippet = {name: value for name, value in shown["snippet"].items() if name in names}
    return part | ({"snippet": snippet} if snippet else {})


ENDPOINTS: Final = (
    Endpoint("GET", "/silo/v1/entries/query", find),
    Endpoint("GET", "/silo/v1/entries/query/count", count),
)
