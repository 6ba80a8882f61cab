"""Keys in a store, as requests see them: bounded waits, nobody else's trouble."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.errors import GatewayFault
from gateway.events import Event
from gateway.settings.schema import Settings
from gateway.vault import reading as reader_module
from gateway.vault import vault as vault_module
from gateway.vault.sources.source import ReadFailure, SourceError
from tests.support.vaults import (
    FakeStore,
    key_source,
    loaded,
    opened_by,
    replace,
    running,
    vault_file,
    vault_of,
    vault_settings,
)
from tests.unit.vault.conftest import ENV, bao, refusal, sent


async def test_stores_never_stop_a_start(store: FakeStore) -> None:
    """A store that hangs is not waited for at start; other tenants are served."""
    store.open.clear()
    file = vault_file({"a": {"key": bao("x/a")}, "b": {"key": {"env": "B"}}})
    vault = await loaded(vault_of(file, environ=ENV))
    assert await sent(vault, "b") == "key-b"
    assert not vault.tried()
    await vault.aclose()


async def test_stores_are_loaded_in_the_background(store: FakeStore) -> None:
    """Listed tenants of a store have their keys without any request asking."""
    store.secrets = {f"x/{n}": f"key-{n}" for n in range(50)}
    file = vault_file({f"t{n}": {"key": bao(f"x/{n}")} for n in range(50)})
    events: list[Event] = []
    vault = await loaded(vault_of(file, events=events))
    async with running(vault), asyncio.timeout(5):
        while len(events) < 50:
            await asyncio.sleep(0)
        assert vault.key("t49").secret.reveal() == "key-49"
        assert vault.tried()
    assert store.most_at_once <= 16


async def test_a_first_read_is_one_flight(store: FakeStore) -> None:
    """Many requests for a key that is not read yet cause one read."""
    store.secrets["x/a"] = "key-a"
    vault = await loaded(vault_of(vault_file({"a": {"key": bao("x/a")}})))
    async with asyncio.timeout(5):
        assert set(await asyncio.gather(*(sent(vault, "a") for _ in range(50)))) == {"key-a"}
    assert store.reads == ["x/a"]


async def test_a_first_read_waits_only_so_long(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hanging store costs a request the documented wait, then 503; the read goes on."""
    monkeypatch.setattr(vault_module, "PATIENCE", 0.05)
    store.secrets["x/a"] = "key-a"
    store.open.clear()
    vault = await loaded(vault_of(vault_file({"a": {"key": bao("x/a")}})))
    assert await refusal(vault, "a") == "key_unavailable"
    store.open.set()
    assert await sent(vault, "a") == "key-a"
    assert store.reads == ["x/a"]


async def test_a_read_that_hangs_is_given_up(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a store that never answers would hold its places for ever; it is asked again later."""
    monkeypatch.setattr(reader_module, "READ_TIMEOUT", 0.05)
    store.secrets["x/a"] = "key-a"
    store.open.clear()
    file = vault_file({"a": {"key": bao("x/a")}})
    vault = await loaded(vault_of(file, vault_settings(negative_ttl=0.05)))
    async with running(vault), asyncio.timeout(5):
        while vault.failing() != {"openbao": "unavailable"}:
            await asyncio.sleep(0.01)
        store.open.set()
        while vault.failing():
            await asyncio.sleep(0.01)
        assert await sent(vault, "a") == "key-a"


@pytest.mark.parametrize("outcome", ["not_found", "denied", "unavailable", "malformed"])
async def test_a_listed_tenant_whose_store_refuses_is_503(
    store: FakeStore, outcome: ReadFailure
) -> None:
    """Whatever a store answers, a listed tenant exists: 503, and it is not asked for each time."""
    store.secrets["x/a"] = SourceError(outcome, "no")
    vault = await loaded(vault_of(vault_file({"a": {"key": bao("x/a")}})))
    assert [await refusal(vault, "a") for _ in range(3)] == ["key_unavailable"] * 3
    assert store.reads == ["x/a"]
    assert vault.failing() == {"openbao": outcome}


async def test_a_source_with_a_bug_harms_its_own_tenant(store: FakeStore) -> None:
    """An unexpected exception is one more failed read; its text, which may quote, is dropped."""
    events: list[Event] = []
    store.secrets["x/a"] = ValueError("sk_canary")
    file = vault_file({"a": {"key": bao("x/a")}, "b": {"key": {"env": "B"}}})
    vault = await loaded(vault_of(file, environ=ENV, events=events))
    assert await refusal(vault, "a") == "key_unavailable"
    assert await sent(vault, "b") == "key-b"
    assert "sk_canary" not in repr(events) + repr(vault.tenants())


async def test_refresh_takes_new_keys_and_outlives_a_dead_store(store: FakeStore) -> None:
    """A new key at the store is used after a refresh; a dead store costs nothing within grace."""
    store.secrets["x/a"] = "one"
    settings = vault_settings(refresh=0.02, negative_ttl=0.0)
    vault = await loaded(vault_of(vault_file({"a": {"key": bao("x/a")}}), settings))
    async with running(vault), asyncio.timeout(5):
        assert await sent(vault, "a") == "one"
        store.secrets["x/a"] = "two"
        while vault.key("a").secret.reveal() != "two":
            await asyncio.sleep(0.005)
        store.secrets["x/a"] = SourceError("unavailable", "down")
        while not vault.failing():
            await asyncio.sleep(0.005)
        assert vault.key("a").secret.reveal() == "two"


async def test_after_the_grace_a_dead_store_is_503(store: FakeStore) -> None:
    """Past refresh and grace the last good key is used no more."""
    store.secrets["x/a"] = "one"
    settings = vault_settings(refresh=100.0, stale_grace=200.0)
    vault = await loaded(vault_of(vault_file({"a": {"key": bao("x/a")}}), settings))
    assert await sent(vault, "a") == "one"
    store.secrets["x/a"] = SourceError("unavailable", "down")
    vault._clock = lambda: time.monotonic() + 299.0
    assert await sent(vault, "a") == "one"
    vault._clock = lambda: time.monotonic() + 301.0
    assert await refusal(vault, "a") == "key_unavailable"


async def test_a_hanging_store_delays_no_local_key(store: FakeStore, tmp_path: Path) -> None:
    """Reads of one kind that hang leave the others' refreshes alone."""
    store.open.clear()
    path = tmp_path / "key"
    path.write_text("one")
    tenants = {f"t{n}": {"key": bao(f"x/{n}")} for n in range(100)}
    file = vault_file({**tenants, "f": {"key": {"file": path}}})
    vault = await loaded(vault_of(file, vault_settings(refresh=0.02)))
    async with running(vault), asyncio.timeout(5):
        path.write_text("two")
        while vault.key("f").secret.reveal() != "two":
            await asyncio.sleep(0.01)


async def test_changed_store_settings_open_the_store_anew(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another `[vault]` table means other connections; the old ones are closed."""
    store.secrets["x/a"] = "old"
    file = vault_file({"a": {"key": bao("x/a")}})
    vault = await loaded(vault_of(file))
    await sent(vault, "a")
    moved = FakeStore({"x/a": "new"})
    opened_by(monkeypatch, "openbao", lambda _: moved)
    await replace(vault, file, vault_settings(refresh=100.0))
    async with running(vault), asyncio.timeout(5):
        while vault.key("a").secret.reveal() != "new":
            await asyncio.sleep(0)
        assert store.closed


async def test_a_changed_ca_file_opens_the_store_anew(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Though no setting differs, who is taken for the store does. The same CA changes nothing."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("one")
    table = {"url": "https://bao.test", "token": {"env": "T"}, "ca_file": ca_file}
    settings, file = vault_settings(openbao=table), vault_file({"a": {"key": bao("x/a")}})
    vault = await loaded(vault_of(file, settings))
    moved = FakeStore({"x/a": "new"})
    opened_by(monkeypatch, "openbao", lambda _: moved)
    await replace(vault, file, settings)
    assert vault._reader.sources["openbao"] is store
    ca_file.write_text("two")
    await replace(vault, file, settings)
    assert await sent(vault, "a") == "new"
    assert store.closed
    await vault.aclose()


async def test_a_store_that_cannot_be_opened_refuses_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A missing extra, or a missing table, is a problem at the first place that names the store."""

    def missing(_: object) -> FakeStore:
        raise SourceError("unavailable", "pip install invopop-gateway[openbao]")

    opened_by(monkeypatch, "openbao", missing)
    file = vault_file({"a": {"key": bao("x/a")}, "b": {"key": bao("x/b")}})
    problems = await vault_of(file).load()
    assert [(problem.key, problem.found) for problem in problems] == [
        ("tenants.a.key", "pip install invopop-gateway[openbao]")
    ]


ISSUER = {"issuer": "i", "audience": "a", "algorithms": ("HS256",), "secret": bao("x/hmac")}


async def test_a_store_that_only_an_issuer_needs_is_open(store: FakeStore) -> None:
    """The secret of an issuer can be read though no tenant's key is in that store."""
    store.secrets["x/hmac"] = "shared"
    settings = Settings.model_validate({"issuers": (ISSUER,)})
    vault = await loaded(vault_of(vault_file(), settings))
    assert vault.tried()
    assert store.reads == []
    assert (await vault.fetch(key_source(**bao("x/hmac")))).reveal() == "shared"
    await replace(vault, vault_file(), vault_settings())
    with pytest.raises(SourceError, match="no such store"):
        await vault.fetch(key_source(**bao("x/hmac")))
    await vault.aclose()


async def test_a_store_of_an_issuer_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why it cannot is told at the issuer's secret, which is not in the vault file."""

    def fail(_: object) -> FakeStore:
        raise SourceError("unavailable", "its library is missing")

    opened_by(monkeypatch, "openbao", fail)
    settings = Settings.model_validate({"issuers": (ISSUER,)})
    (problem,) = await vault_of(vault_file(), settings).load()
    assert problem[:3] == ("", "issuers[0].secret", "its library is missing")


async def test_a_request_that_waited_in_vain_is_told_why(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with a second to wait: by then the read may have ended."""
    monkeypatch.setattr("gateway.vault.vault.PATIENCE", 0.01)
    store.secrets["x/a"] = "key-a"
    store.open.clear()
    vault = await loaded(vault_of(vault_file({"a": {"key": bao("x/a")}})))
    with pytest.raises(GatewayFault) as caught:
        await vault.read("a", "billing")
    assert (caught.value.key, caught.value.cause) == ("key_unavailable", "loading")
    assert (b"retry-after", b"1") in caught.value.headers
    store.open.set()
    await vault.aclose()


async def test_a_command_reads_stores_anew(store: FakeStore) -> None:
    """What is being read already began before it was asked for: it is read once more."""
    store.secrets["x/a"] = "key-a"
    store.open.clear()
    vault = await loaded(vault_of(vault_file({"a": {"key": bao("x/a")}})))
    asked = asyncio.ensure_future(sent(vault, "a"))
    async with asyncio.timeout(5):
        while not store.reads:
            await asyncio.sleep(0)
        reading = asyncio.ensure_future(vault.read_stores())
        await asyncio.sleep(0)
        store.open.set()
        await reading
    assert await asked == "key-a"
    assert store.reads == ["x/a"] * 2
