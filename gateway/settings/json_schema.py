"""JSON Schema of `gateway.toml` and `vault.toml`, made from the settings' own models.

Rule: it accepts whatever the gateway accepts. What it cannot say, `check` does.
"""

import ast
import inspect
import json
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from pydantic import AliasPath
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway.settings.schema import Settings
from gateway.settings.values import Table
from gateway.settings.vault_file import USE, VaultFile

FILES: Final[Mapping[str, type[Table]]] = {"gateway": Settings, "vault": VaultFile}


def json_schema(name: str) -> dict[str, Any]:
    """The schema (draft 2020-12) of the file `name`, a key of `FILES`."""
    schema = FILES[name].model_json_schema(schema_generator=_Generator)
    return {"$schema": _Generator.schema_dialect, "title": f"{name}.toml", **schema}


def schema_text(name: str) -> str:
    """The schema as a file has it."""
    return json.dumps(json_schema(name), indent=2, ensure_ascii=False) + "\n"


class _Generator(GenerateJsonSchema):
    """TOML has no null, titles repeat the names, and a setting's docstring is its description."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - inherited
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        return _described(_joined(super().model_schema(schema), schema["cls"]), schema["cls"])

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        return _described(super().dataclass_schema(schema), schema["cls"])


def _joined(schema: JsonSchemaValue, model: type[Table]) -> JsonSchemaValue:
    """Fields that read other tables of the same name (`[tenants.NAME]`, with and without `use`)."""
    for name, field in model.model_fields.items():
        if isinstance(field.validation_alias, AliasPath):
            other = schema["properties"].pop(name)["additionalProperties"]
            joined = schema["properties"][field.validation_alias.path[0]]
            joined["additionalProperties"] = {
                "if": {"required": [USE]},
                "then": other,
                "else": joined["additionalProperties"],
            }
    return schema


def _described(schema: JsonSchemaValue, model: type) -> JsonSchemaValue:
    known = meanings(model)
    schema["description"] = " ".join(schema["description"].split())
    for name, setting in schema.get("properties", {}).items():
        if name in known:
            setting["description"] = known[name]
    schema.pop("title", None)
    return schema


def meanings(model: type) -> dict[str, str]:
    """What each setting of a table means: the docstring below it, there or in what it extends."""
    found: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if not parent.__module__.startswith("gateway."):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(parent))).body
        lines = definition.body if isinstance(definition, ast.ClassDef) else []
        for setting, below in pairwise(lines):
            match setting, below:
                case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str() as meaning)):
                    found[name] = " ".join(meaning.split())
    return found
