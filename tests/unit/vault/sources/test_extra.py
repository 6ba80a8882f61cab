"""Stores by way of a library: one that is missing, a table that is, and what one finds."""

import asyncio
import importlib
import logging
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

from gateway.vault.sources.extra import THREADS, Threads, extra
from gateway.vault.sources.registry import open_source
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

    def missing(name: str) -> ModuleType:
        if name.startswith("gateway."):
            return real(name)
        raise ModuleNotFoundError(name)

    real = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SourceError) as caught:
        open_source(kind, Connections(vault_settings(**{kind: TABLES[kind]}).vault, {}))
    hint = f"its library is missing: pip install 'invopop-gateway[{kind}]'"
    assert (caught.value.outcome, caught.value.reason) == ("unavailable", f"{kind}: {hint}")


def test_a_library_may_not_log_what_it_receives(monkeypatch: pytest.MonkeyPatch) -> None:
    """At debug level some log whole replies, and so keys; the whole package is told."""
    monkeypatch.setattr(logging.getLogger("xml"), "level", logging.DEBUG)
    assert extra("xml.etree.ElementTree", "any") is ElementTree
    assert logging.getLogger("xml").level == logging.WARNING
    assert not logging.getLogger("xml.etree").isEnabledFor(logging.INFO)


@pytest.mark.parametrize("kind", ["openbao", "azure"])
def test_a_missing_table_is_named(kind: str) -> None:
    """A store that no table says how to reach cannot be opened."""
    with pytest.raises(SourceError, match=rf"\[vault\.{kind}\]"):
        open_source(kind, Connections(vault_settings().vault, {}))


async def test_without_a_table_google_needs_full_names() -> None:
    """A name that holds its project needs no table; another says which one it lacks."""
    opened = open_source("gcp", Connections(vault_settings().vault, {}))
    with pytest.raises(SourceError, match=r"gcp acme: no \[vault\.gcp\] table"):
        await opened.read(key_source(gcp="acme"))
    await opened.aclose()


@pytest.mark.parametrize("table", [{}, {"aws": {}}])
def test_without_a_region_aws_says_who_may_name_it(
    table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table may be left out, but somebody must know the region."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SourceError, match=r"no region: \[vault\.aws\] region, AWS_DEFAULT_REGION"):
        open_source("aws", Connections(vault_settings(**table).vault, {}))


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


async def test_a_store_has_threads_of_its_own(threads: Threads) -> None:
    """So many, by its name; one store that hangs takes nobody else's."""
    everyone = threading.Barrier(THREADS)

    def meet() -> str:
        everyone.wait(10)
        return threading.current_thread().name

    names = await asyncio.gather(*(threads.run(meet) for _ in range(THREADS)))
    assert len(set(names)) == THREADS
    assert all(name.startswith("library_") for name in names)
    assert threads._pool._max_workers == THREADS


async def test_closing_waits_for_no_call_that_hangs(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And begins none that is still in line."""
    monkeypatch.setattr(threads._pool, "_max_workers", 1)
    begun, release, ran = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(10)

    hanging = asyncio.ensure_future(threads.run(hang))
    waiting = asyncio.ensure_future(threads.run(ran.set))
    await asyncio.to_thread(begun.wait, 10)
    closing = threading.Thread(target=threads.close)
    closing.start()
    closing.join(5)
    still = closing.is_alive()
    release.set()
    assert not still
    await hanging
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not ran.is_set()


async def test_a_document_that_is_none_is_said_with_its_place(threads: Threads) -> None:
    """As for every source."""
    with pytest.raises(SourceError, match=r"^malformed: azure acme#f is no JSON, but"):
        await threads.read(lambda *_: "key-a", key_source(azure="acme", field="f"))
