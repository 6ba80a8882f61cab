"""Stores whose library, or whose table, is missing."""

import importlib
from typing import Any

import pytest

from gateway.vault.sources.registry import SOURCES
from gateway.vault.sources.source import Connections, SourceError
from tests.support.vaults import vault_settings

TABLES: dict[str, dict[str, Any]] = {
    "aws": {"region": "eu-west-1"},
    "gcp": {"project": "billing"},
    "azure": {"vault_url": "https://kv.vault.azure.net"},
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_missing_library_names_its_extra(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional library the finding says what to install."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SourceError) as caught:
        SOURCES[kind](Connections(vault_settings(**{kind: TABLES[kind]}).vault, {}))
    assert f"pip install 'invopop-gateway[{kind}]'" in caught.value.reason


@pytest.mark.parametrize("kind", ["openbao", "aws", "gcp", "azure"])
def test_a_missing_table_is_named(kind: str) -> None:
    """A store that no table says how to reach cannot be opened."""
    with pytest.raises(SourceError, match=rf"\[vault\.{kind}\]"):
        SOURCES[kind](Connections(vault_settings().vault, {}))
