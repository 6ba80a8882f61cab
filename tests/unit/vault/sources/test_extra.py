"""Stores by way of a library: one that is missing, a table that is, and what one finds."""

import asyncio
import importlib
import logging
import sys
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
    with pytest.raises(SourceError, match=r"gcp acme: add a \[vault\.gcp\] table"):
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
        "azure acme: the secret is not text",
    )


async def test_a_store_has_threads_of_its_own(threads: Threads) -> None:
    """So many at once, and no more, also when whoever asked has given up."""
    begun: list[str] = []
    release = threading.Event()

    def hang() -> None:
        begun.append(threading.current_thread().name)
        release.wait(10)

    calls = [asyncio.ensure_future(threads.run(hang)) for _ in range(THREADS + 5)]
    async with asyncio.timeout(10):
        while len(begun) < THREADS:
            await asyncio.sleep(0.001)
    calls[0].cancel()
    await asyncio.sleep(0.2)
    assert begun == ["library"] * THREADS
    release.set()
    await asyncio.gather(*calls[1:])
    assert len(begun) == THREADS + 5


async def test_no_end_waits_for_a_call_that_hangs() -> None:
    """Neither closing nor the end of the process; and none that is still in line begins."""
    program = """if True:
        import asyncio, sys, time
        from gateway.vault.sources.extra import THREADS, Threads
        from gateway.vault.sources.source import SourceError

        async def main():
            threads = Threads("library")
            calls = [asyncio.ensure_future(threads.run(time.sleep, 60)) for _ in range(THREADS)]
            waiting = asyncio.ensure_future(threads.run(sys.exit, "it has begun"))
            await asyncio.sleep(0.1)
            threads.close()
            assert not waiting.done()

        asyncio.run(main())
    """
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    async with asyncio.timeout(30):
        assert await run.wait() == 0


async def test_after_closing_no_call_begins(threads: Threads) -> None:
    """A read that comes too late fails as it does without the store."""
    threads.close()
    with pytest.raises(SourceError, match=r"^unavailable: library: closed$"):
        await threads.run(pytest.fail)


async def test_a_document_that_is_none_is_said_with_its_place(threads: Threads) -> None:
    """As for every source."""
    with pytest.raises(SourceError, match=r"^malformed: azure acme#f is not JSON, so"):
        await threads.read(lambda *_: "key-a", key_source(azure="acme", field="f"))
