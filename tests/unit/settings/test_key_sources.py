"""The table of key-source kinds: what follows from a row, for those there are and for another."""

import inspect
from pkgutil import resolve_name
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.observe.families import SOURCES
from gateway.settings import checks, key_sources
from gateway.settings.key_sources import (
    SOURCE_KINDS,
    STORE_TABLES,
    KeySource,
    ListedSource,
    SourceKind,
)
from gateway.settings.stores import Stores
from gateway.settings.values import Reference
from tests.support.vaults import vault_file

OTHER = SourceKind("A secret elsewhere.", Reference, "tests.unit:Other", table="elsewhere")


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A further row."""
    monkeypatch.setattr(key_sources, "SOURCE_KINDS", {**SOURCE_KINDS, "other": OTHER})


def read(**written: Any) -> KeySource:
    """As a vault file's table would be read."""
    source: KeySource = TypeAdapter(ListedSource).validate_python(written)
    return source


@pytest.mark.parametrize("kind", SOURCE_KINDS)
def test_each_row_names_what_opens_it(kind: str) -> None:
    """A class made from connections, with all that a source must do."""
    opener = resolve_name(SOURCE_KINDS[kind].opener)
    assert list(inspect.signature(opener).parameters) == ["connections"]
    assert all(callable(getattr(opener, name)) for name in ("read", "mark", "aclose"))


def test_each_table_is_a_setting_and_each_setting_some_rows_table() -> None:
    """`[vault.NAME]` is there for the rows that name it, and for nothing else."""
    assert set(STORE_TABLES) == Stores.model_fields.keys()


def test_metrics_know_every_kind() -> None:
    """So the series of each are there from the first scrape on."""
    assert tuple(SOURCE_KINDS) == SOURCES


@pytest.mark.usefixtures("other")
def test_a_further_row_is_all_that_a_file_needs() -> None:
    """It is read, described, and named among those that there are."""
    source = read(other="keys/acme", field="key")
    assert source == KeySource("other", "keys/acme", "key")
    assert source.describe() == "other keys/acme#key"
    with pytest.raises(ValidationError, match=r"exactly one of env, .*, invopop_enrollment, other"):
        read()
    with pytest.raises(ValidationError, match="without empty or dot segments"):
        read(other="../acme")


def test_a_kind_that_needs_no_table_may_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a kind whose row says so asks for its table."""
    file = vault_file({"a": {"key": {"aws": "x"}}})
    assert list(checks.check_vault(file, ())) == []
    strict = SOURCE_KINDS["aws"]._replace(needs_table=lambda _: True)
    monkeypatch.setattr(checks, "SOURCE_KINDS", {**SOURCE_KINDS, "aws": strict})
    (finding,) = checks.check_vault(file, ())
    assert finding.expected == "a table [vault.aws] in the configuration file"
    assert list(checks.check_vault(file, ("aws",))) == []
