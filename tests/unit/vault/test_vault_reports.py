"""What the vault tells of itself, and the reads that nobody's request asked for."""

import asyncio
import time
from pathlib import Path

import jwt
import pytest

from gateway.events import Event, KeyChanged, Noticed
from gateway.secret import Secret
from gateway.vault.background import PORTION, Backlog
from gateway.vault.key_ring import Slot
from gateway.vault.vault import Vault
from tests.support.vaults import (
    FakeStore,
    key_source,
    loaded,
    never_checked,
    replace,
    running,
    vault_file,
    vault_of,
    vault_settings,
)

PIN = "5b45453c-cdd0-11ed-afa1-0242ac120002"


def token(expires: int) -> str:
    """A key that is a JWT."""
    return jwt.encode({"exp": expires}, "s" * 32, "HS256")


def sent(vault: Vault, tenant: str) -> str:
    """The key that a request would be sent with."""
    return vault.key(tenant).secret.reveal()


async def test_reread_takes_changed_key_files_only(tmp_path: Path) -> None:
    """After a refused reload: a rotated file is read; one that is gone or torn costs nothing."""
    paths = {name: tmp_path / name for name in ("a", "b", "c")}
    for name, path in paths.items():
        path.write_text(f"{name}-1\n")
    file = vault_file({name: {"key": {"file": path}} for name, path in paths.items()})
    vault = await loaded(vault_of(file))
    paths["a"].write_text("a-2\n")
    paths["b"].unlink()
    paths["c"].write_text("")
    await vault.reread()
    assert [sent(vault, name) for name in "abc"] == ["a-2", "b-1", "c-1"]


async def test_a_key_that_ends_soon_is_told_in_the_background() -> None:
    """Nobody has to ask for it."""
    events: list[Event] = []
    soon = {"A": token(int(time.time()) + 3600)}
    vault = await loaded(
        vault_of(vault_file({"a": {"key": {"env": "A"}}}), environ=soon, events=events)
    )
    async with running(vault), asyncio.timeout(5):
        while not any(isinstance(e, Noticed) and e.name == "key_expires_soon" for e in events):
            await asyncio.sleep(0.001)


async def test_a_rotation_is_told_by_fingerprints(tmp_path: Path) -> None:
    """Which key took which one's place; the first key, and the same one again, are no change."""
    events: list[Event] = []
    path = tmp_path / "key"
    path.write_text("first\n")
    file = vault_file({"a": {"key": {"file": path}}})
    vault = await loaded(vault_of(file, events=events))
    for text in ("first\n", "second\n"):
        path.unlink()
        path.write_text(text)
        await vault.reread()
    old, new = (Secret(text).fingerprint for text in ("first", "second"))
    changes = [event for event in events if isinstance(event, KeyChanged)]
    assert changes == [KeyChanged("a", "key", new, old)]


async def test_files_are_those_in_use(tmp_path: Path) -> None:
    """`files` names each key file of the version in use, of both slots, and no others."""
    source = {name: {"file": tmp_path / name} for name in ("new", "old", "other")}
    for name in source:
        (tmp_path / name).write_text(name)
    both = {"key": source["new"], "previous": source["old"]}
    vault = vault_of(vault_file({"a": both, "b": {"key": {"env": "B"}}}), environ={"B": "b"})
    assert vault.files() == frozenset()
    await loaded(vault)
    assert vault.files() == {tmp_path / "new", tmp_path / "old"}
    await replace(vault, vault_file({"a": {"key": source["other"]}}), vault_settings())
    assert vault.files() == {tmp_path / "other"}


async def test_expiries_are_those_of_keys_that_tell(store: FakeStore) -> None:
    """`expiries` has each slot, listed or found, whose key is a JWT with an end."""
    store.secrets["x/found"] = token(3_000)
    tenants = {
        "a": {"key": {"value": token(1_000)}, "previous": {"value": token(2_000)}},
        "b": {"key": {"value": "sk_opaque"}},
    }
    file = vault_file(tenants, discover={"key": {"openbao": "x/{tenant}", "field": "f"}})
    vault = await loaded(vault_of(file))
    await vault.read("found", "billing")
    assert sorted(vault.expiries()) == [
        ("a", "key", 1_000.0),
        ("a", "previous", 2_000.0),
        ("found", "key", 3_000.0),
    ]
    await vault.aclose()


async def test_a_pinned_key_shows_its_expiry_before_it_may_be_used() -> None:
    """`check` knows no pin verified, yet its table tells when the key ends."""
    file = vault_file({"a": {"key": {"value": token(1_000)}, "workspace": PIN}})
    vault = await loaded(vault_of(file, check=never_checked))
    assert [(row.expires_at, row.state) for row in vault.tenants()] == [(1_000.0, "unchecked")]
    assert [key.secret.reveal() for key in vault.held()] == [token(1_000)]


async def test_has_knows_listed_and_found_tenants(store: FakeStore) -> None:
    """`has` is true for a tenant in memory; a name that was looked for in vain is none."""
    store.secrets["x/found"] = "key"
    discover = {"key": {"openbao": "x/{tenant}", "field": "f"}}
    vault = await loaded(vault_of(vault_file({"a": {"key": {"value": "k"}}}, discover=discover)))
    await vault.read("found", "billing")
    with pytest.raises(Exception, match="tenant_denied"):
        await vault.read("absent", "billing")
    assert [vault.has(name) for name in ("a", "found", "absent")] == [True, True, False]
    await vault.aclose()


async def test_read_stores_waits_for_each_key(store: FakeStore) -> None:
    """`check` shows keys of stores too, although no background loop runs."""
    store.secrets = {"x/a": "key-a"}
    tenants = {name: {"key": {"openbao": f"x/{name}", "field": "f"}} for name in ("a", "b")}
    vault = await loaded(vault_of(vault_file({**tenants, "v": {"key": {"value": "k"}}})))
    await vault.read_stores()
    assert [row.state for row in vault.tenants()] == ["ok", "not_found", "ok"]
    assert sorted(store.reads) == ["x/a", "x/b"]
    await vault.aclose()


@pytest.mark.parametrize(("tenant", "read"), [("a", ["x/a"]), ("v", []), ("found", [])])
async def test_read_stores_of_one_tenant(store: FakeStore, tenant: str, read: list[str]) -> None:
    """`explain` asks the store for the keys of its own tenant only."""
    tenants = {name: {"key": {"openbao": f"x/{name}", "field": "f"}} for name in ("a", "b")}
    vault = await loaded(vault_of(vault_file({**tenants, "v": {"key": {"value": "k"}}})))
    await vault.read_stores(tenant)
    assert store.reads == read
    await vault.aclose()


async def test_a_found_tenant_that_gets_listed_keeps_no_second_entry(store: FakeStore) -> None:
    """Its listed entry counts from then on; removed from the list, it is looked for again."""
    store.secrets["x/t"] = "key-found"
    discover = {"key": {"openbao": "x/{tenant}", "field": "f"}}
    vault = await loaded(vault_of(vault_file(discover=discover)))
    await vault.read("t", "billing")
    listed = vault_file({"t": {"key": {"value": "key-listed"}}}, discover=discover)
    await replace(vault, listed, vault_settings())
    assert sent(vault, "t") == "key-listed"
    assert len(vault.tenants()) == 1
    store.secrets["x/t"] = "key-anew"
    await replace(vault, vault_file(discover=discover), vault_settings())
    assert (await vault.read("t", "billing")).secret.reveal() == "key-anew"
    await vault.aclose()


async def test_a_reload_reads_stores_again(store: FakeStore) -> None:
    """A new key in a store is picked up on reload, of listed and of found tenants."""
    store.secrets = {"x/listed": "1", "x/found": "1"}
    discover = {"key": {"openbao": "x/{tenant}", "field": "f"}}
    tenants = {"listed": {"key": {"openbao": "x/listed", "field": "f"}}}
    file = vault_file(tenants, discover=discover)
    vault = await loaded(vault_of(file))
    async with running(vault), asyncio.timeout(5):
        for name in ("listed", "found"):
            await vault.read(name, "billing")
        store.secrets = {"x/listed": "2", "x/found": "2"}
        await replace(vault, file, vault_settings())
        while {sent(vault, name) for name in ("listed", "found")} != {"2"}:
            await asyncio.sleep(0.005)


async def test_taking_up_many_lets_others_run() -> None:
    """Between two portions the loop is free; what has left the configuration is passed over."""
    taken: list[str] = []
    slots = [Slot(str(n), "key", key_source(value="k")) for n in range(3 * PORTION)]
    slots[1].retired = True
    backlog = Backlog(lambda slot: taken.append(slot.tenant))
    backlog.add(slots)
    task = asyncio.ensure_future(backlog.run())
    seen = set()
    async with asyncio.timeout(5):
        while len(taken) < len(slots) - 1:
            await asyncio.sleep(0)
            seen.add(len(taken))
    task.cancel()
    assert len(seen) >= 3
    assert "1" not in taken
