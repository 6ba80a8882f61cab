"""Tenants that no file lists: found on first use, gone with their section or their key."""

import asyncio

import pytest

from gateway.errors import CallerError, GatewayFault
from gateway.events import Event, KeyRefreshed
from gateway.vault.key_ring import KeyNeeded
from gateway.vault.sources.source import SourceError
from tests.support.vaults import (
    FakeStore,
    loaded,
    replace,
    running,
    vault_file,
    vault_of,
    vault_settings,
)
from tests.unit.vault.conftest import ENV, LISTED, bao, refusal, sent


async def test_discover_finds_tenants_on_first_use(store: FakeStore) -> None:
    """An unlisted tenant's key is looked up once, then answered from memory."""
    store.secrets["x/new"] = "key-new"
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")})))
    assert set(await asyncio.gather(*(sent(vault, "new") for _ in range(9)))) == {"key-new"}
    assert vault.key("new").tenant == "new"
    assert store.reads == ["x/new"]


async def test_discover_answers_a_missing_tenant_as_a_forbidden_one(store: FakeStore) -> None:
    """The store's 404 is `tenant_denied`, remembered; its refusals and failures are 503."""
    store.secrets = {"x/403": SourceError("denied", ""), "x/5xx": SourceError("unavailable", "")}
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")})))
    for _ in range(3):
        assert await refusal(vault, "404") == "tenant_denied"
        assert await refusal(vault, "403") == "key_unavailable"
        assert await refusal(vault, "5xx") == "key_unavailable"
    assert sorted(store.reads) == ["x/403", "x/404", "x/5xx"]


async def test_what_a_look_up_has_shown_is_answered_though_nothing_is_remembered(
    store: FakeStore,
) -> None:
    """With `negative_ttl = 0` each request asks the store, and is told what the store says."""
    store.secrets = {"x/403": SourceError("denied", "")}
    file = vault_file(discover={"key": bao("x/{tenant}")})
    vault = await loaded(vault_of(file, vault_settings(negative_ttl=0.0)))
    for _ in range(2):
        with pytest.raises(CallerError) as denied:
            await vault.read("404", "billing")
        assert (denied.value.key, denied.value.cause) == ("tenant_denied", "unknown_tenant")
    with pytest.raises(GatewayFault) as failed:
        await vault.read("403", "billing")
    assert (failed.value.key, failed.value.cause) == ("key_unavailable", "denied")
    assert store.reads == ["x/404", "x/404", "x/403"]


async def test_a_name_that_is_not_there_is_no_trouble_of_the_store(store: FakeStore) -> None:
    """A caller's slip degrades nothing and alerts nobody; what ails the store itself does."""
    events: list[Event] = []
    file = vault_file(discover={"key": bao("x/{tenant}")})
    vault = await loaded(vault_of(file, events=events))
    store.secrets = {"x/5xx": SourceError("unavailable", "down")}
    assert await refusal(vault, "slip") == "tenant_denied"
    assert vault.failing() == {}
    assert await refusal(vault, "5xx") == "key_unavailable"
    assert vault.failing() == {"openbao": "unavailable"}
    assert await refusal(vault, "slip2") == "tenant_denied"
    assert vault.failing() == {}  # it answers again
    reads = [event for event in events if isinstance(event, KeyRefreshed)]
    assert [(read.tenant, read.outcome) for read in reads] == [
        ("slip", "success"),
        ("5xx", "failure"),
        ("slip2", "success"),
    ]
    assert reads[0].reason == "key: not_found: nothing is there"


async def test_a_found_tenant_that_is_listed_by_now_must_be_in_the_store(store: FakeStore) -> None:
    """It goes on with its key; once the store has lost it, that is trouble, and the key stays."""
    store.secrets["x/a"] = "key-a"
    section = {"key": bao("x/{tenant}")}
    vault = await loaded(vault_of(vault_file(discover=section)))
    assert await sent(vault, "a") == "key-a"
    listed = vault_file({"a": {"key": bao("x/a")}}, discover=section)
    await replace(vault, listed, vault_settings())
    assert vault.key("a").secret.reveal() == "key-a"
    del store.secrets["x/a"]
    await vault.read_stores()
    assert vault.failing() == {"openbao": "not_found"}
    assert vault.key("a").secret.reveal() == "key-a"
    await vault.aclose()


async def test_look_ups_of_one_caller_do_not_use_up_anothers(store: FakeStore) -> None:
    """A caller that probes names runs out of look-ups; another one finds its tenant."""
    store.secrets["x/real"] = "key-real"
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")})))
    answers = [await refusal(vault, f"n{n}", "prober") for n in range(150)]
    assert answers.count("tenant_denied") < 120
    assert answers[-1] == "key_unavailable"
    assert await sent(vault, "real", "honest") == "key-real"


async def test_finding_costs_no_look_ups(store: FakeStore) -> None:
    """A caller that uses many tenants that exist is never held up."""
    store.secrets = {f"x/{n}": f"key-{n}" for n in range(500)}
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")})))
    for n in range(500):
        assert await sent(vault, str(n)) == f"key-{n}"


async def test_so_many_found_tenants_are_held_and_no_more(store: FakeStore) -> None:
    """One that was not used for long is let go, and found again when it is asked for."""
    store.secrets = {f"x/{n}": f"key-{n}" for n in range(10)}
    file = vault_file(discover={"key": bao("x/{tenant}")})
    vault = await loaded(vault_of(file, vault_settings(max_discovered=3)))
    for n in range(10):
        assert await sent(vault, "0") == "key-0"
        assert await sent(vault, str(n)) == f"key-{n}"
    assert [row.tenant for row in vault.tenants()] == ["0", "8", "9"]
    assert await sent(vault, "1") == "key-1"
    assert store.reads.count("x/0") == 1
    assert store.reads.count("x/1") == 2


async def test_a_tenant_that_was_found_stays_though_nobody_waited_for_it(store: FakeStore) -> None:
    """Its caller left: the next finds it, also after its key has been read again."""
    store.secrets["x/new"] = "key-new"
    store.open.clear()
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")})))
    asked = asyncio.ensure_future(sent(vault, "new"))
    async with asyncio.timeout(5):
        while not store.reads:
            await asyncio.sleep(0)
        asked.cancel()
        store.open.set()
        while not vault.has("new"):
            await asyncio.sleep(0)
    [slot] = [slot for ring in vault.rings() for slot in ring.slots]
    await vault._reader.read(slot)
    assert vault.key("new").secret.reveal() == "key-new"
    assert store.reads == ["x/new"] * 2


async def test_discovered_tenants_end_with_their_section(store: FakeStore) -> None:
    """Without [discover] those it found are denied; an unchanged one keeps them."""
    store.secrets["x/new"] = "key-new"
    file = vault_file(discover={"key": bao("x/{tenant}")})
    vault = await loaded(vault_of(file))
    await sent(vault, "new")
    await replace(vault, file, vault_settings())
    assert vault.key("new").secret.reveal() == "key-new"
    await replace(vault, vault_file({}), vault_settings())
    assert await refusal(vault, "new") == "tenant_denied"
    await vault.aclose()


async def test_a_look_up_that_outlives_its_section_finds_nothing(store: FakeStore) -> None:
    """What a look-up finds after [discover] was taken away is not used."""
    store.secrets["x/new"] = "key-new"
    store.open.clear()
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")})))
    asked = asyncio.ensure_future(refusal(vault, "new"))
    while not store.reads:
        await asyncio.sleep(0)
    await replace(vault, vault_file({}), vault_settings())
    store.open.set()
    assert await asked == "tenant_denied"
    await vault.aclose()


async def test_a_tenant_listed_meanwhile_has_its_listed_key(store: FakeStore) -> None:
    """What a look-up finds does not replace what the vault file has come to say."""
    store.secrets["x/a"] = "key-found"
    store.open.clear()
    section = {"key": bao("x/{tenant}")}
    vault = await loaded(vault_of(vault_file(discover=section), environ=ENV))
    asked = asyncio.ensure_future(sent(vault, "a"))
    while not store.reads:
        await asyncio.sleep(0)
    listed = vault_file({"a": {"key": {"env": "A"}}}, discover=section)
    await replace(vault, listed, vault_settings())
    store.open.set()
    assert await asked == "key-a"
    assert [row.source for row in vault.tenants()] == ["env A"]
    await vault.aclose()


async def test_policy_learns_of_tenants_that_certainly_do_not_exist(store: FakeStore) -> None:
    """Listed ones pass, and those that the store may know; a name that it does not have ends."""
    vault = await loaded(vault_of(LISTED, environ=ENV))
    vault.require("a")
    with pytest.raises(CallerError, match="tenant_denied"):
        vault.require("c")
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")})))
    vault.require("c")
    assert await refusal(vault, "c") == "tenant_denied"
    with pytest.raises(CallerError, match="tenant_denied"):
        vault.require("c")
    vault.require("d")


async def test_a_tenant_deleted_in_the_store_is_denied_after_a_refresh(store: FakeStore) -> None:
    """A discovered tenant that the store no longer has stops at the next refresh."""
    store.secrets["x/new"] = "key-new"
    settings = vault_settings(refresh=0.01)
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")}), settings))
    async with running(vault), asyncio.timeout(5):
        await sent(vault, "new")
        del store.secrets["x/new"]
        while any(row.tenant == "new" for row in vault.tenants()):
            await asyncio.sleep(0.005)
        assert await refusal(vault, "new") == "tenant_denied"
        assert vault.failing() == {}


async def test_what_is_known_of_one_name_is_not_said_of_another(store: FakeStore) -> None:
    """A name that was looked for in vain is denied at once; one that was not is looked for."""
    vault = await loaded(vault_of(vault_file(discover={"key": bao("x/{tenant}")})))
    assert await refusal(vault, "nobody") == "tenant_denied"
    with pytest.raises(CallerError, match="tenant_denied"):
        vault.key("nobody")
    with pytest.raises(KeyNeeded):
        vault.key("another")
