"""`python -m tests.openapi`: the table held against descriptions of the API."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.invopop.operations import is_uuid_parameter, segments_of
from gateway.invopop.table import OPERATIONS
from tests import openapi

ID = "347c5b04-cde2-11ed-afa1-0242ac120002"


def parameter(name: str, *, example: str = "", **more: Any) -> dict[str, Any]:
    schema = {"type": "string"} | ({"example": example} if example else {})
    return {"in": "path", "name": name, "schema": schema, **more}


def whole() -> dict[str, Any]:
    """A document of all that the table has."""
    paths: dict[str, dict[str, Any]] = {}
    for row in OPERATIONS:
        item = paths.setdefault(row.template, {})
        item[row.method.lower()] = {
            "parameters": [
                parameter(part[1:-1], example=ID if is_uuid_parameter(part) else "x-1")
                for part in segments_of(row.template)
                if part.startswith("{")
            ]
        }
    return {"openapi": "3.0.0", "paths": paths}


def compared(folder: Path, document: dict[str, Any]) -> openapi.Differences:
    """What differs, read from a file."""
    (folder / "api.yaml").write_text(yaml.safe_dump(document))
    found = [one for each in openapi.documents(folder) for one in openapi.described(each)]
    return openapi.compare(found)


def test_nothing_differs(tmp_path: Path) -> None:
    """From the table itself; other files in the directory are no documents."""
    (tmp_path / "notes.yaml").write_text("- a list\n")
    (tmp_path / "readme.md").write_text("openapi")
    assert compared(tmp_path, whole()) == ([], [], [])


def test_what_the_table_lacks(tmp_path: Path) -> None:
    """A new path, a new method of a known one, in YAML or JSON, in any folder below."""
    document = whole()
    document["paths"]["/silo/v1/entries/{id}"]["delete"] = {}
    (tmp_path / "apps").mkdir()
    new = {"openapi": "3.1.0", "paths": {"/apps/new/v1/x/{any}": {"get": {}}}}
    (tmp_path / "apps" / "new.json").write_text(json.dumps(new))
    assert compared(tmp_path, document).missing == [
        "DELETE /silo/v1/entries/{id}",
        "GET /apps/new/v1/x/{any}",
    ]


def test_a_parameter_of_another_name_is_the_same_path(tmp_path: Path) -> None:
    """Places count, names do not; shared parameters and references are read."""
    document = whole()
    del document["paths"]["/transform/v1/jobs/key/{key}"]
    shared = parameter("ref", description="UUID of the job.")
    document["components"] = {"parameters": {"reference": shared}}
    document["paths"]["/transform/v1/jobs/key/{ref}"] = {
        "parameters": [{"$ref": "#/components/parameters/reference"}],
        "get": {},
    }
    assert compared(tmp_path, document) == (
        [],
        ["GET /transform/v1/jobs/key/{ref}: {ref} is a UUID, {key} in the table is not"],
        [],
    )


def test_what_is_no_uuid_must_not_be_typed_as_one(tmp_path: Path) -> None:
    """Else the gateway would refuse what Invopop serves."""
    document = whole()
    operation = document["paths"]["/sequence/v1/series/{id}"]["get"]
    operation["parameters"] = [parameter("id", example="invoices-2027")]
    assert compared(tmp_path, document).mistyped == [
        "GET /sequence/v1/series/{id}: {id} is not a UUID, {id} in the table is"
    ]


def test_what_only_the_table_has(tmp_path: Path) -> None:
    """It is told, and is no failure: clients call what no document describes."""
    document = whole()
    del document["paths"]["/auth/version"]
    assert compared(tmp_path, document) == ([], [], ["GET /auth/version"])


@pytest.mark.parametrize(("path", "code"), [("/auth/version", 0), ("/auth/versions", 1), (None, 2)])
def test_its_exit_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str | None,
    code: int,
) -> None:
    """1 if the table has to change, 2 if there is nothing to compare with."""
    if path:
        document = {"openapi": "3.0.0", "paths": {path: {"get": {}}}}
        (tmp_path / "api.yml").write_text(yaml.safe_dump(document))
    monkeypatch.setattr("sys.argv", ["openapi", str(tmp_path)])
    assert openapi.main() == code
    assert (f"GET {path}" in capsys.readouterr().out) == (code == 1)
