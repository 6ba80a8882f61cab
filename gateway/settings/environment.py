"""Overrides from the environment: `INVOPOP_GATEWAY__SECTION__KEY`, scalars of sections only.

Rule: a variable with our prefix that overrides nothing is a problem, never ignored.
"""

import re
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from gateway.errors import Problem
from gateway.settings.schema import Settings, sections
from gateway.settings.wording import KeyPath, key_path, nearest, unknown_key

PREFIX: Final = "INVOPOP_GATEWAY__"

_SCALARS: Final = (bool, int, float, str)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]+)?")


class Merged(NamedTuple):
    """A document with its overrides, which settings they are, and what overrides nothing."""

    tree: dict[str, Any]
    origins: dict[KeyPath, str]
    problems: list[Problem]


def variables() -> dict[str, KeyPath]:
    """Every variable that overrides a setting, with the setting's path."""
    return {name: path for name, path, _ in _overridable()}


def apply(tree: dict[str, Any], environ: Mapping[str, str]) -> Merged:
    """Overrides the document's scalars; values that fit no setting are left for the schema."""
    known = {name: (path, kind) for name, path, kind in _overridable()}
    merged = Merged(dict(tree), {}, [])
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        if name not in known:
            merged.problems.append(_unknown(name, known))
            continue
        (section, key), kind = known[name]
        if isinstance(table := merged.tree.get(section, {}), dict):
            merged.tree[section] = {**table, key: _value(environ[name], kind)}
            merged.origins[section, key] = name
    return merged


def attributed(problems: Iterable[Problem], file: str, environ: Mapping[str, str]) -> list[Problem]:
    """The problems, each with what its setting comes from: `file`, or a variable by its name.

    `file` is the configuration file; a problem that names no file is about it as well.
    """
    given = {key_path(path): name for name, path in variables().items() if name in environ}
    return [
        problem._replace(file="environment", key=given[problem.key])
        if problem.key in given and problem.file in {"", file}
        else problem._replace(file=problem.file or file)
        for problem in problems
    ]


def misspelt(environ: Mapping[str, str]) -> Iterator[str]:
    """Warnings of variables that were probably meant as overrides, but have too few underscores.

    Not errors: Kubernetes sets variables such as `INVOPOP_GATEWAY_PORT` for a service of that name.
    """
    meant = {name.replace("__", "_"): name for name in variables()}
    for name in sorted(environ):
        right = meant.get(name.upper().replace("__", "_"))
        if right is not None and not name.startswith(PREFIX):
            yield f"environment: {name} has no effect; two underscores make {right}"


def _overridable() -> Iterator[tuple[str, tuple[str, str], type]]:
    for section, table in sections().items():
        for key, field in table.model_fields.items():
            kind = _kind(field.annotation)
            if kind is not None:
                yield f"{PREFIX}{section}__{key}".upper(), (section, key), kind


def _kind(annotation: Any) -> type | None:
    """The scalar type that a variable's text must become; None for lists and tables."""
    origin = get_origin(annotation)
    if origin in {Annotated, Union, types.UnionType}:
        return _kind(get_args(annotation)[0])
    if origin is Literal or annotation is Path:
        return str
    return annotation if annotation in _SCALARS else None


def _value(text: str, kind: type) -> Any:
    """The text as TOML would parse it; unchanged if it is no such value: see the schema."""
    if kind is bool:
        return {"true": True, "false": False}.get(text, text)
    if kind is int and _INTEGER.fullmatch(text):
        return int(text)
    if kind is float and _NUMBER.fullmatch(text):
        return float(text)
    return text


def _unknown(name: str, known: Mapping[str, object]) -> Problem:
    section, _, key = name.removeprefix(PREFIX).lower().partition("__")
    overridable = sections()
    if section in Settings.model_fields and section not in overridable:
        expected = f"the configuration file: {section} cannot come from the environment"
    elif name.upper() in known:
        expected = f"{name.upper()}, in capitals"
    elif section in overridable and key in overridable[section].model_fields:
        expected = f"the configuration file: {section}.{key} is not a single value"
    elif same := [other for other in known if not key and other.endswith(f"__{section.upper()}")]:
        expected = " or ".join(same)
    else:
        expected = nearest(name, known)
    told = name if name.upper() in known else PREFIX + _shown(name.removeprefix(PREFIX), known)
    return Problem("environment", told, "an unknown variable", expected)


def _shown(rest: str, known: Iterable[str]) -> str:
    """What follows the prefix, which may be a secret: see `unknown_key`."""
    keys = [name.removeprefix(PREFIX).lower() for name in known]
    words = rest.lower().split("__")
    plain = all(unknown_key(word, ()) == word for word in words)
    return rest if plain or not rest else unknown_key(rest, keys)
