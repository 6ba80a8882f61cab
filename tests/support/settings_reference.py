"""The reference in `config/README.md` and the JSON Schemas beside it, made from the models.

Run as a module it writes these files.

Rule: says nothing of its own. What a value may be are the words of its type's own error, what it
means is the docstring below its field, and a field without one is an error.
"""

import inspect
import json
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import AliasPath, TypeAdapter, ValidationError, WrapValidator
from pydantic.fields import FieldInfo

from gateway.compiled import _AT_START
from gateway.settings.environment import variables
from gateway.settings.json_schema import FILES, meanings, schema_text
from gateway.settings.key_sources import FIELD, FIELD_MEANING, SOURCE_KINDS, KeySource
from gateway.settings.schema import Settings
from gateway.settings.values import Table, Text
from gateway.settings.vault_file import VaultFile

FILE: Final = Path(__file__).parents[2] / "config" / "README.md"
MARK: Final = "<!-- From here on: uv run python -m tests.support.settings_reference -->\n"
# What no type takes: its error says what it would take.
_WRONG: Final[tuple[Any, ...]] = (object(), "\0")
_SAMPLES: Final = {kind: {kind: "A"} for kind in SOURCE_KINDS}
_FOUND: Final = {"openbao": "a/{tenant}"}
_MAY_CHANGE: Final = {True: "restart", False: "reload"}


class Section(NamedTuple):
    """A table of a file: its heading, its path with a dot behind, and what it is made of."""

    heading: str
    path: str
    model: type[Any]


def reference() -> str:
    """Both files' tables, and what a key source is."""
    sources = Section("A key source", "", KeySource)
    parts = ["\n## gateway.toml\n", *map(_section, sections(Settings, ""))]
    parts += ["\n## vault.toml\n", *map(_section, sections(VaultFile, "")), _section(sources)]
    return "".join(parts)


def sections(model: type[Any], path: str) -> Iterator[Section]:
    """The tables below `model`, depth first."""
    for name, field in fields(model).items():
        table, many = _table(field.annotation)
        if table is None:
            continue
        known = file_name(name, field)
        inner = f"{path}{known}.NAME" if many is dict else f"{path}{known}"
        heading = f"`[{inner}]`" if known == name else f"`[{inner}]` ({name})"
        if many is tuple:  # of the file itself, or one of the list within a table
            heading = f"`{inner}`, one as a table" if path else f"`[[{inner}]]`"
        yield Section(heading, f"{inner}.", table)
        yield from sections(table, f"{inner}.")


def file_name(name: str, field: FieldInfo) -> str:
    """What a file calls a field: two fields may read different tables under one name."""
    alias = field.validation_alias
    return str(alias.path[0]) if isinstance(alias, AliasPath) else name


def fields(model: type[Any]) -> dict[str, FieldInfo]:
    """A table's fields, whether it is a model, a dataclass or a key source."""
    if model is KeySource:
        kinds = {name: kind.reference for name, kind in SOURCE_KINDS.items()}
        types = kinds | {FIELD: Text}
        return {n: FieldInfo.from_annotated_attribute(t, default=None) for n, t in types.items()}
    found: dict[str, FieldInfo] = model.__pydantic_fields__
    return found


def described(model: type[Any]) -> dict[str, str]:
    """What each setting of a table means."""
    if model is KeySource:
        return {n: kind.meaning for n, kind in SOURCE_KINDS.items()} | {FIELD: FIELD_MEANING}
    return meanings(model)


def _section(section: Section) -> str:
    about = inspect.cleandoc(section.model.__doc__ or "").replace("\n", " ").replace("  ", " ")
    known = described(section.model)
    rows = []
    for name, field in fields(section.model).items():
        table, many = _table(field.annotation)
        if table is None or many is tuple:
            rows.append(_row(section, name, field, known[name]))
    if not rows:
        return f"\n### {section.heading}\n\n{about}\n"
    variable = any(row[-1] for row in rows)
    titles = ["setting", "value", "default", "meaning", "a change takes", "variable"]
    shown = [row if variable else row[:-1] for row in [titles, ["---"] * 6, *rows]]
    lines = [f"| {' | '.join(cell or '–' for cell in row)} |" for row in shown]
    return f"\n### {section.heading}\n\n{about}\n\n" + "\n".join(lines) + "\n"


def _row(section: Section, name: str, field: FieldInfo, meaning: str) -> list[str]:
    path = f"{section.path}{name}"
    variable = {".".join(map(str, at)): known for known, at in variables().items()}.get(path)
    whole = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    words = _value(whole) + _range(field.metadata)
    return [
        f"`{name}`",
        words,
        _default(field, words),
        meaning,
        _MAY_CHANGE[path in _AT_START],
        f"`{variable}`" if variable else "",
    ]


def _table(annotation: Any) -> tuple[type[Any] | None, type | None]:
    """The table that an annotation leads to, if any, and whether through a tuple or a dict."""
    origin, inner = get_origin(annotation), [a for a in get_args(annotation) if a is not NoneType]
    if origin is Annotated or (origin not in {None, tuple, dict, Literal} and len(inner) == 1):
        return _table(inner[0])
    if origin in {tuple, dict}:
        return _table(inner[0 if origin is tuple else 1])[0], origin
    table = inspect.isclass(annotation) and (
        issubclass(annotation, Table) or is_dataclass(annotation)
    )
    return (annotation if table and annotation is not KeySource else None), None


def _value(annotation: Any) -> str:
    """What a setting may be, in words."""
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    inner = [a for a in get_args(bare) if a is not NoneType]
    if get_origin(bare) is tuple:
        return f"a list, each {_value(inner[0])}"
    if get_origin(bare) is dict:
        return f"a table, each value {_value(inner[1])}"
    if get_origin(bare) is not Literal and NoneType in get_args(bare):
        return _value(inner[0])
    if bare is KeySource:
        return f"a key source: {', '.join(_kinds(annotation))}"
    words = _told(annotation) or " or ".join(f"`{json.dumps(value)}`" for value in inner)
    assert words, f"{annotation} does not say what it expects"
    return words


def _kinds(annotation: Any) -> Iterator[str]:
    for kind, sample in _SAMPLES.items():
        found = {kind: _FOUND.get(kind, "a-{tenant}")}
        if any(not _errors(annotation, value) for value in (sample, found)):
            yield f"`{kind}`"


def _told(annotation: Any) -> str:
    """What the type's own error says that it expects."""
    told = [
        e["msg"]
        for wrong in _WRONG
        for e in _errors(annotation, wrong)[:1]
        if e["type"] == "expected"
    ]
    if told:
        return str(told[0])
    table, _ = _table(annotation)
    return "a table, see below" if table else ""


def _errors(annotation: Any, value: Any) -> list[Any]:
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError as error:
        return list(error.errors())
    return []


def _range(metadata: list[Any]) -> str:
    """Bounds that a field adds to its type's own."""
    own = max((i for i, m in enumerate(metadata) if isinstance(m, WrapValidator)), default=-1)
    least = next((m.ge for m in metadata[own + 1 :] if isinstance(m, Ge)), None)
    most = next((m.le for m in metadata[own + 1 :] if isinstance(m, Le)), None)
    return "" if least is None else f"; {_size(least)} to {_size(most)}"


def _default(field: FieldInfo, words: str) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if value is None:
        return ""
    if isinstance(value, int) and "bytes" in words:
        return f"`{_size(value)}`"
    text = f"`{json.dumps(str(value) if isinstance(value, Path) else value)}`"
    unit = {"number of seconds": " s", "requests per second": " a second"}
    return text + next((short for long, short in unit.items() if long in words), "")


def _size(value: Any) -> str:
    unit, size = ("MiB", 2**20) if value % 2**20 == 0 else ("KiB", 2**10)
    return f'"{value // size}{unit}"' if value and value % size == 0 else str(value)


def written(text: str) -> str:
    """The file's text with the reference made anew below the mark."""
    return text.partition(MARK)[0] + MARK + reference()


def schema_files() -> dict[Path, str]:
    """The JSON Schema of each configuration file, as `invopop-gateway schema` prints it."""
    return {FILE.with_name(f"{file}.schema.json"): schema_text(file) for file in FILES}


if __name__ == "__main__":
    FILE.write_text(written(FILE.read_text()))
    for path, schema in schema_files().items():
        path.write_text(schema)
