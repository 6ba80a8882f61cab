"""Stores by way of a library: one that is missing, a table that is, and what one finds."""

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.vault.sources.extra import Threads
from gateway.vault.sources.registry import SOURCES
from gateway.vault.sources.source import Connections, SourceError
from tests.support.vaults import key_source, vault_settings

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


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Threads of a store of the tests' own."""
    made = Threads("library")
    yield made
    made.close()


async def test_a_library_is_asked_for_the_reference(threads: Threads) -> None:
    """It is told the place for its errors; what it finds is the key, or has it as a member."""
    asked: list[tuple[str, str]] = []

    def get(reference: str, place: str) -> str:
        asked.append((reference, place))
        return '{"f": "key-a"}'

    found = await threads.read(get, key_source(azure="acme", field="f"))
    assert (found.reveal(), asked) == ("key-a", [("acme", "azure acme#f")])
    assert (await threads.read(get, key_source(azure="acme"))).reveal() == '{"f": "key-a"}'


@pytest.mark.parametrize("found", [None, b"key-a"])
async def test_a_find_that_is_no_text_is_malformed(threads: Threads, found: object) -> None:
    """Told with its place, and not with what it is."""
    with pytest.raises(SourceError) as caught:
        await threads.read(lambda *_: found, key_source(azure="acme"))
    assert (caught.value.outcome, caught.value.reason) == (
        "malformed",
        "azure acme: the secret is no text",
    )
