"""The JSON Schema of both files: true to the models, and every setting described."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from gateway.settings.json_schema import FILES, json_schema

ROOT = Path(__file__).parents[3]
SHIPPED = [*ROOT.glob("config/*.toml"), *ROOT.glob("deploy/**/*.toml")]


def errors(file: str, text: str) -> list[str]:
    """What the schema finds wrong: the path of each error."""
    schema = json_schema(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    found = jsonschema.Draft202012Validator(schema).iter_errors(tomllib.loads(text))
    return [error.json_path for error in found]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_shipped_files_are_valid(path: Path) -> None:
    """As they are, and, those in config/, with every setting that is commented out."""
    text = path.read_text()
    assert errors(path.stem, text) == []
    if path.parent == ROOT / "config":
        shown = re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", text)
        # Three ways to log in exclude each other, which the schema does not say.
        assert errors(path.stem, shown) == []
        assert text.startswith(f"#:schema {path.stem}.schema.json\n")


@pytest.mark.parametrize(
    ("file", "text", "path"),
    [
        ("gateway", "[listen]\nprot = 8585", "$.listen"),
        ("gateway", "[listen]\nport = '8585'", "$.listen.port"),
        ("gateway", "[listen]\nport = 65536", "$.listen.port"),
        ("gateway", "[limits]\nmax_body = '32 miles'", "$.limits.max_body"),
        ("gateway", "[log]\nlevel = 'loud'", "$.log.level"),
        ("gateway", "[callers.a]\ntokens = ['abc']", "$.callers.a.tokens[0]"),
        ("gateway", "[[issuers]]\nissuer = 'a'\naudience = 'b'", "$.issuers[0]"),
        ("vault", "[tenants.a]\nkey = {}", "$.tenants.a.key"),
        ("vault", "[tenants.a]\nkey = { env = 'A', file = 'b' }", "$.tenants.a.key"),
        ("vault", "[tenants.a]\nkeys = { env = 'A' }", "$.tenants.a"),
        ("vault", "[tenants.a]\nuse = 'b'\nkey = { env = 'A' }", "$.tenants.a"),
        ("vault", "[tenants.'a-*']\nuse = 5", "$.tenants['a-*'].use"),
        ("vault", "[discover]\nkey = { env = 'A' }", "$.discover.key"),
    ],
)
def test_mistakes_are_underlined(file: str, text: str, path: str) -> None:
    """What an editor marks while somebody types."""
    assert path in errors(file, text)


@pytest.mark.parametrize("file", FILES)
def test_every_setting_has_a_description(file: str) -> None:
    """An editor shows what a setting means."""
    assert list(_undescribed(json_schema(file), "")) == []


def _undescribed(schema: Any, at: str) -> Iterator[str]:
    if isinstance(schema, dict):
        for name, setting in schema.get("properties", {}).items():
            if "description" not in setting and "$ref" not in json.dumps(setting):
                yield f"{at}.{name}"
        for name, inner in schema.items():
            yield from _undescribed(inner, f"{at}.{name}")
