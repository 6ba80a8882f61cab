"""A `Status` made from its types alone: every text in it one's own, every list with a row."""

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

from gateway.admin.view import Status

AT = 1_800_000_000.0
PLAIN = (str, int, float, bool)


def status_of(text: str, number: int = 3) -> Status:
    """The whole page with that text in each field that takes one."""
    made: Status = _row(Status, text, number)
    return made


def rows_within(kind: type) -> Iterator[type]:
    """The row types that can be reached from one, itself included."""
    yield kind
    for hint in typing.get_type_hints(kind).values():
        for inner in _members(hint):
            if dataclasses.is_dataclass(inner):
                yield from rows_within(typing.cast("type", inner))


def leaves_of(kind: type) -> Iterator[tuple[str, Any]]:
    """Each field of a row that is no row itself: its name and what it may hold."""
    for name, hint in typing.get_type_hints(kind).items():
        for inner in _members(hint):
            if not dataclasses.is_dataclass(inner):
                yield name, inner


def _members(hint: Any) -> tuple[Any, ...]:
    if isinstance(hint, types.UnionType):
        return tuple(member for member in typing.get_args(hint) if member is not types.NoneType)
    if typing.get_origin(hint) is tuple:
        return tuple(member for member in typing.get_args(hint) if member is not Ellipsis)
    if typing.get_origin(hint) is typing.Union:  # of closed lists of words
        return (
            typing.Literal[*(w for part in typing.get_args(hint) for w in typing.get_args(part))],
        )
    return (hint,)


def _row(kind: Any, text: str, number: int) -> Any:
    hints = typing.get_type_hints(kind)
    return kind(**{name: _value(hint, text, number) for name, hint in hints.items()})


def _value(hint: Any, text: str, number: int) -> Any:
    (inner,) = _members(hint)
    if typing.get_origin(hint) is tuple:
        return (_value(inner, text, number),)
    if dataclasses.is_dataclass(inner):
        return _row(inner, text, number)
    if typing.get_origin(inner) is typing.Literal:
        return typing.get_args(inner)[0]
    return {str: text, int: number, float: AT, bool: False}[inner]
