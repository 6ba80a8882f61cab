"""The reference in `config/README.md`, held against the models it is made from."""

import re

import pytest

from gateway.compiled import _AT_START
from gateway.settings.environment import variables
from gateway.settings.schema import Settings
from gateway.settings.values import Flag, Table
from gateway.settings.vault_file import VaultFile
from tests.support.settings_reference import (
    FILE,
    fields,
    reference,
    schema_files,
    sections,
    written,
)


def test_the_file_is_what_the_models_say() -> None:
    """Run `uv run python -m tests.support.settings_reference` after a change of a setting."""
    text = FILE.read_text()
    assert text == written(text)


def test_the_schemas_are_what_the_models_say() -> None:
    """Run `uv run python -m tests.support.settings_reference` after a change of a setting."""
    for path, schema in schema_files().items():
        assert path.read_text() == schema, path.name


def test_every_setting_is_there() -> None:
    """Each section has its heading, each field its row or a section of its own."""
    text = reference()
    for section in [*sections(Settings, ""), *sections(VaultFile, "")]:
        part = text.split(f"### {section.heading}\n")[1].split("\n### ")[0]
        for name in fields(section.model):
            assert f"\n| `{name}` |" in part or f"`[{section.path}{name}]`" in text, name


def test_what_needs_a_restart_and_what_a_variable_can_say() -> None:
    """Exactly the settings that the gateway tells of, and exactly the variables that it takes."""
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert sum("| restart |" in row for row in rows) == len(_AT_START)
    assert sorted(re.findall(r"`(INVOPOP_GATEWAY__\w+)`", reference())) == sorted(variables())


class Undescribed(Table):
    """A table whose only setting has no meaning."""

    flag: Flag = True


class Holder(Table):
    """What holds it."""

    table: Undescribed = Undescribed()


def test_a_setting_without_meaning_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting can be added without saying what it means."""
    monkeypatch.setattr("tests.support.settings_reference.Settings", Holder)
    with pytest.raises(KeyError, match="flag"):
        reference()
