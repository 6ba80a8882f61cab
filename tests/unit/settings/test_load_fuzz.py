"""Any TOML in any place of a configuration is taken, or refused in words; never a crash."""

import json
import re
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigurationError
from gateway.settings.json_schema import FILES, json_schema

SCHEMAS = {file: json_schema(file) for file in FILES}
CONFIG = Path(__file__).parents[3] / "config"
NAMES = ["key", "value", "env", "field", "file", "tokens", "hash", "[key]", "issuer", "x y", ""]
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["https://a", "{tenant}", "sha256:", "1MiB", "unix:", "::/0", "a/{tenant}"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=6,
)


def toml(value: Any) -> str:
    """The value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value) if "." in repr(value) or "n" in repr(value) else f"{value:.1f}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def document(tree: dict[str, Any]) -> str:
    """A whole file."""
    return "".join(f"{json.dumps(name)} = {toml(value)}\n" for name, value in tree.items())


def everything() -> dict[str, dict[str, Any]]:
    """A tree that has each setting somewhere, sound or not."""
    trees = {
        path.stem: tomllib.loads(re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", path.read_text()))
        for path in CONFIG.glob("*.toml")
    }
    trees["gateway"]["vault"]["file"] = "vault.toml"
    return trees


def replaced(tree: Any, data: st.DataObject) -> Any:
    """The tree with one of its members, however deep, put in another's place."""
    if not isinstance(tree, dict | list) or not tree or data.draw(st.integers(0, 3)) == 0:
        return data.draw(VALUES)
    places = list(tree) if isinstance(tree, dict) else range(len(tree))
    place = data.draw(st.sampled_from(places))
    copy = tree.copy()
    copy[place] = replaced(tree[place], data)
    return copy


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_any_value_in_any_place(workshop: Any, data: st.DataObject) -> None:
    """One member of the full example, replaced by anything, never breaks loading itself.

    What is accepted is valid by the JSON Schema too.
    """
    trees = everything()
    for file, tree in trees.items():
        section = data.draw(st.sampled_from(list(tree)))
        trees[file] = tree | {section: replaced(tree[section], data)}
    texts = {file: document(tree) for file, tree in trees.items()}
    assert all(map(tomllib.loads, texts.values()))
    with suppress(ConfigurationError):
        workshop.load(**texts)
        for file, text in texts.items():
            jsonschema.validate(tomllib.loads(text), SCHEMAS[file])
