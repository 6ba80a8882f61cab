"""`python -m tests.openapi DIRECTORY`: the table of operations held against OpenAPI documents.

Reads every YAML and JSON file below the directory, such as `openapi/` of Invopop's documentation
(github.com/invopop/docs.invopop.com), and prints what differs. Exits 1 if a document describes
what the table lacks or types otherwise; what only the table has is printed too.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from gateway.invopop.operations import is_uuid_parameter, segments_of
from gateway.invopop.table import OPERATIONS

METHODS: Final = frozenset({"get", "put", "post", "patch", "delete", "head", "options"})
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_SAYS_UUID: Final = re.compile(r"\bUUID\b")


class Described(NamedTuple):
    """What a document says of one method and path: which parameters are UUIDs, which are not."""

    method: str
    template: str
    uuids: frozenset[str]
    others: frozenset[str]

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


class Differences(NamedTuple):
    """Lines to print: what the table lacks, what it types otherwise, and what it alone has."""

    missing: list[str]
    mistyped: list[str]
    extra: list[str]


def documents(directory: Path) -> Iterator[Mapping[str, Any]]:
    """Every OpenAPI document below the directory, in order of its path."""
    for path in sorted(directory.rglob("*")):
        if path.suffix not in {".yaml", ".yml", ".json"}:
            continue
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        if isinstance(document, dict) and "openapi" in document and "paths" in document:
            yield document


def described(document: Mapping[str, Any]) -> Iterator[Described]:
    """What one document describes, parameters given by reference included."""
    for template, item in document["paths"].items():
        for method in sorted(METHODS & item.keys()):
            parameters = [*item.get("parameters", ()), *item[method].get("parameters", ())]
            resolved = [_resolved(document, parameter) for parameter in parameters]
            in_path = [one for one in resolved if one.get("in") == "path"]
            uuids = frozenset(one["name"] for one in in_path if _is_uuid(one))
            others = frozenset(one["name"] for one in in_path if _example(one)) - uuids
            yield Described(method.upper(), template, uuids, others)


def compare(found: list[Described]) -> Differences:
    """The table against what the documents describe, parameters compared by place, not by name."""
    rows = {(row.method, _shape(row.template)): row for row in OPERATIONS}
    known = {(one.method, _shape(one.template)) for one in found}
    missing = [str(one) for one in found if (one.method, _shape(one.template)) not in rows]
    extra = [f"{row.method} {row.template}" for key, row in rows.items() if key not in known]
    mistyped = []
    for one in found:
        row = rows.get((one.method, _shape(one.template)))
        if row is None:
            continue
        for theirs, ours in zip(segments_of(one.template), segments_of(row.template), strict=True):
            if theirs[1:-1] in one.uuids and not is_uuid_parameter(ours):
                mistyped.append(f"{one}: {theirs} is a UUID, {ours} in the table is not")
            if theirs[1:-1] in one.others and is_uuid_parameter(ours):
                mistyped.append(f"{one}: {theirs} is not a UUID, {ours} in the table is")
    return Differences(missing, mistyped, extra)


def main() -> int:
    """Prints what differs; 1 if the table has to change, 2 if there is no document."""
    parser = argparse.ArgumentParser(prog="python -m tests.openapi", description=__doc__)
    parser.add_argument("directory", type=Path)
    found = [one for each in documents(parser.parse_args().directory) for one in described(each)]
    if not found:
        print("no OpenAPI document there", file=sys.stderr)  # noqa: T201
        return 2
    missing, mistyped, extra = compare(found)
    for title, lines in (
        ("not in the table", missing),
        ("typed otherwise", mistyped),
        ("in the table only", extra),
    ):
        print(f"{title}: {len(lines)}", *sorted(lines), sep="\n  ")  # noqa: T201
    print(f"{len(found)} operations described, {len(OPERATIONS)} in the table")  # noqa: T201
    return int(bool(missing or mistyped))


def _shape(template: str) -> str:
    return re.sub(r"{[^}]*}", "{}", template)


def _resolved(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    """A parameter, or what its `$ref` within the document stands for."""
    if "$ref" not in parameter:
        return parameter
    found: Any = document
    for part in parameter["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def _is_uuid(parameter: Mapping[str, Any]) -> bool:
    """Whether a parameter's format, description or example says so."""
    return (
        parameter.get("schema", {}).get("format") == "uuid"
        or _UUID.fullmatch(_example(parameter)) is not None
        or _SAYS_UUID.search(parameter.get("description", "")) is not None
    )


def _example(parameter: Mapping[str, Any]) -> str:
    return str(parameter.get("schema", {}).get("example", parameter.get("example", "")))


if __name__ == "__main__":
    sys.exit(main())
