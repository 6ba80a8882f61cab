"""Collects everything that is wrong, in the order of reading. Rule: one cause, one problem.

A rule between several settings is not reported if one of them is itself wrong.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic_core import ErrorDetails

from gateway.errors import Problem
from gateway.settings.key_sources import FIELD, SOURCE_KINDS, KeySource
from gateway.settings.vault_file import SharingEntry, TenantEntry
from gateway.settings.wording import KeyPath, describe, key_path, nearest, unknown_key

_EXPECTED: Final = {
    "missing": "a value: this key is required",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "tuple_type": 'a list, such as ["a", "b"]',
    "too_short": "a list that is not empty",
}


_KEY_SOURCE: Final = 'a key source, such as { env = "ACME_KEY" }'
_FOR_ANY_TENANT: Final = 'a store, such as { openbao = "secret/invopop/{tenant}" }'


class Violation(NamedTuple):
    """What a rule between settings found; `others` are further settings it looked at."""

    path: KeyPath
    found: str
    expected: str
    others: tuple[KeyPath, ...] = ()


class Findings:
    """The problems of one file. `variables` names the settings that came from the environment.

    `homes` are the tables that a setting may stand in, by its name.
    """

    def __init__(
        self,
        file: str,
        variables: Mapping[KeyPath, str],
        homes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self.problems: list[Problem] = []
        self._file = file
        self._variables = variables
        self._homes = homes
        self._wrong: set[KeyPath] = set()

    def add(self, path: KeyPath, found: str, expected: str) -> None:
        """One more problem; rules that concern `path` are not reported from now on."""
        self._add(path, key_path(path), found, expected)

    def add_unknown(self, path: KeyPath, known: Collection[str]) -> None:
        """A key that is not among the `known` ones; it may be a secret."""
        expected = nearest(str(path[-1]), known)
        if homes := [f"[{name}]" for name in self._homes.get(str(path[-1]), ()) if len(path) < 3]:
            expected = f"it in {' or '.join(homes)}, where it belongs"
        self._add(path, _unknown(path, known), "an unknown key", expected)

    def add_name(self, path: KeyPath, expected: str) -> None:
        """A name that cannot be one; it may be a secret."""
        self._add(path, _unknown(path, ()), "this name", expected)

    def _add(self, path: KeyPath, key: str, found: str, expected: str) -> None:
        self._wrong.add(path)
        variable = self._variables.get(path[:2])
        where = ("environment", variable) if variable else (self._file, key)
        self.problems.append(Problem(*where, found, expected))

    def add_rules(self, findings: Iterable[Violation]) -> None:
        """What rules between settings found, unless a setting concerned is wrong already."""
        new = [
            finding
            for finding in findings
            if not any(self.touch(path) for path in (finding.path, *finding.others))
        ]
        for finding in new:
            self.add(finding.path, finding.found, finding.expected)

    def add_errors(self, at: KeyPath, model: type[Any], tree: Any, error: ValidationError) -> None:
        """Pydantic's errors about `tree`, found at `at`, which should be a `model`."""
        for detail in error.errors(include_url=False):
            location = _within(tree, detail["loc"])
            path = at + location
            if detail["type"] == "too_short" and self.touch(path):
                continue  # because of its wrong members, which are reported already
            if path in self._wrong:
                continue  # what has a wrong name, which is not to be shown
            if detail["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
                self.add_unknown(path, _known(model, location[:-1]))
            elif detail["loc"][-1:] == ("[key]",):
                self.add_name(path, _expected(detail))
            elif detail["type"] in {"missing", "dict_type"} and _is_source(model, location):
                example = _FOR_ANY_TENANT if path[0] == "discover" else _KEY_SOURCE
                self.add(path, _found(tree, at, location), example)
            else:
                self.add(path, _found(tree, at, location), _expected(detail))

    def sound(self, at: KeyPath, tree: Mapping[str, Any]) -> dict[str, Any]:
        """The members of the table at `at` in which nothing is wrong."""
        return {name: value for name, value in tree.items() if not self.touch((*at, name))}

    def touch(self, path: KeyPath) -> bool:
        """True if something is wrong at `path`, within it, or with what it lies in."""
        return any(path[: len(wrong)] == wrong[: len(path)] for wrong in self._wrong)


def _unknown(path: KeyPath, known: Collection[str]) -> str:
    """The key path, whose last part is shown only if it is no secret."""
    name = unknown_key(str(path[-1]), known)
    return f"{key_path(path[:-1])}.{name}" if path[:-1] else name


def _within(tree: Any, location: Sequence[str | int]) -> KeyPath:
    """The part of pydantic's location that the document has, and one step beyond in a table."""
    path: list[str | int] = []
    for part in location:
        if type(tree) not in {dict, list} or part == "[key]":
            break
        path.append(part)
        if isinstance(tree, dict) and part not in tree:
            break
        tree = tree[part]
    return tuple(path)


def _found(tree: Any, at: KeyPath, location: KeyPath) -> str:
    value = tree
    for part in location:
        if isinstance(value, dict) and part not in value:
            return "nothing"
        value = value[part]
    return describe(value, at + location)


def _expected(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Input should be ")
    return _EXPECTED.get(detail["type"], message)


def _is_source(model: type[Any], location: KeyPath) -> bool:
    """Whether a key source stands, or should stand, at `location` within a `model`."""
    try:
        return _model(model, location) is KeySource
    except KeyError:
        return False


def _known(model: type[Any], location: KeyPath) -> list[str]:
    """The names that the table at `location` within a `model` may hold."""
    table = _model(model, location)
    if table is KeySource:
        return [*SOURCE_KINDS, FIELD]
    fields = table.__pydantic_fields__
    # Two fields may read one table of the file: the second has no name of its own there.
    names = [name for name, field in fields.items() if field.validation_alias is None]
    # What has `use` has nothing else, so that any other key was meant for a tenant with a key.
    return [*names, *SharingEntry.__dataclass_fields__] if table is TenantEntry else names


def _model(model: type[Any], location: KeyPath) -> type[Any]:
    """The model of the table at `location` within a `model`. Raises KeyError if there is none."""
    skip = False
    for part in location:
        if skip or isinstance(part, int):
            skip = False
            continue
        annotation = model.__pydantic_fields__[part].annotation
        skip = get_origin(annotation) is dict
        model = _table(annotation) or model
    return model


def _table(annotation: Any) -> type[Any] | None:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        is_table = issubclass(annotation, BaseModel) or is_pydantic_dataclass(annotation)
        return annotation if is_table or annotation is KeySource else None
    inner = (_table(argument) for argument in get_args(annotation))
    return next((table for table in inner if table is not None), None)
