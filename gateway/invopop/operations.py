"""Finds the operation of a request in the table, by the segments of its path.

Rule: pure functions. Matching walks the segments once, whatever the size of the table.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.invopop import spellings
from gateway.invopop.table import (
    CREDENTIALS,
    FILE_OPERATIONS,
    FILES_PREFIX,
    NOT_ABOUT_KEYS,
    OPERATIONS,
    UUID_PARAMETERS,
    Operation,
)

VERSION: Final = re.compile(r"v[0-9]+(?:\.[0-9]+)*")
"""A segment that is the version of a service."""

_DISGUISED: Final = 3  # times that what was escaped may be escaped again
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


class _Node:
    """Where a walk stands after some segments: what may follow, and what ends here, by method."""

    __slots__ = ("anything", "literals", "operations", "uuid")

    def __init__(self, rows: "list[_Row]") -> None:
        """Takes the rows that are still possible, each with its segments that are left.

        A branch holds every row that its segment leaves possible, so no walk has to turn back.
        """
        heads = {segments[0] for segments, _ in rows if segments}
        literals = [head for head in heads if not is_parameter(head)]
        self.operations: dict[str, Operation] = {}
        for segments, operation in rows:
            if not segments:
                self.operations.setdefault(operation.method, operation)
        self.literals = {head: _Node(_after(rows, {head, _ANYTHING})) for head in literals}
        self.uuid = _Node(_after(rows, {_A_UUID, _ANYTHING})) if _A_UUID in heads else None
        self.anything = _Node(_after(rows, {_ANYTHING})) if _ANYTHING in heads else None


_Row = tuple[tuple[str, ...], Operation]
_A_UUID: Final = "{uuid}"
_ANYTHING: Final = "{}"


def segments_of(template: str) -> tuple[str, ...]:
    """The segments of a path template, parameters still in braces."""
    return tuple(template.split("/")[1:])


def is_parameter(segment: str) -> bool:
    """Whether this segment of a template is a parameter."""
    return segment.startswith("{")


def is_uuid_parameter(segment: str) -> bool:
    """Whether this segment of a template is a parameter that matches UUIDs only."""
    return is_parameter(segment) and segment[1:][:-1] in UUID_PARAMETERS


def match(method: str, segments: Sequence[str]) -> Operation | None:
    """The operation of a request, by its decoded path segments; None if the table has none.

    A literal wins over a parameter, the earlier segment first; `HEAD` counts as `GET`.
    """
    node = _tree()
    for segment in segments:
        after = node.literals.get(segment)
        if after is None:
            after = node.uuid if node.uuid and _UUID.fullmatch(segment) else node.anything
            if after is None:
                return None
        node = after
    return node.operations.get("GET" if method == "HEAD" else method)


def match_file(method: str, path: bytes) -> Operation | None:
    """The operation of a raw path that means a file, which `match` does not know; else None."""
    if not path.startswith(FILES_PREFIX):
        return None
    method = "GET" if method == "HEAD" else method
    return next((row for row in FILE_OPERATIONS if row.method == method), None)


def split_path(path: bytes) -> tuple[str, ...]:
    """The percent-decoded segments of a path that begins with `/`; one trailing slash is ignored.

    Segments are split before they are decoded, so an escaped slash stays within its own (RFC 3986
    2.2). Raises UnicodeDecodeError unless the path is ASCII and its escapes are UTF-8.
    """
    text = path.decode("ascii")
    segments = text[1:][:-1].split("/") if text[-1:] == "/" else text[1:].split("/")
    if "%" in text:
        return tuple(unquote_to_bytes(segment).decode() for segment in segments)
    return tuple(segments) if segments != [""] else ()


def gives_credentials(name: str) -> bool:
    """Whether replies of this operation hold a token for Invopop's API."""
    return name.startswith(CREDENTIALS)


def may_not_be_about_the_key(path: bytes) -> bool:
    """Whether a 401 to this raw path may be about something else than the key, however spelt."""
    text = path.decode("ascii")
    for _ in range(_DISGUISED):
        text = spellings.trim(spellings.separate(spellings.fold(spellings.unescape(text))))
    text = spellings.cut_off(spellings.drop_parameters(text))
    parts = (part for part in text.split("/") if part and not VERSION.fullmatch(part))
    return tuple(islice(parts, 2)) in NOT_ABOUT_KEYS


@cache
def names() -> frozenset[str]:
    """The name of every operation."""
    return frozenset(operation.name for operation in (*OPERATIONS, *FILE_OPERATIONS))


@cache
def _tree() -> _Node:
    """The table as a tree, made on first use. Rows go in by precedence: literals first."""
    rows = [(tuple(map(_kind, segments_of(row.template))), row) for row in OPERATIONS]
    return _Node(sorted(rows, key=lambda row: [is_parameter(segment) for segment in row[0]]))


def _kind(segment: str) -> str:
    """A literal as it is, a parameter as what it matches."""
    if is_uuid_parameter(segment):
        return _A_UUID
    return _ANYTHING if is_parameter(segment) else segment


def _after(rows: Iterable[_Row], heads: set[str]) -> list[_Row]:
    """The rows that begin with one of these segments, without it, their order kept."""
    return [(segments[1:], row) for segments, row in rows if segments and segments[0] in heads]
