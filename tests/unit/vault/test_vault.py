"""The vault as requests see it: from memory, changed by one stroke, telling no key."""

import asyncio
import time
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError, GatewayFault
from gateway.events import Event, KeyRefreshed
from gateway.model import Key
from gateway.secret import Secret
from tests.support.growth import uncollected
from tests.support.vaults import (
    FakeStore,
    key_source,
    loaded,
    replace,
    vault_file,
    vault_of,
    vault_settings,
)
from tests.unit.vault.conftest import ENV, LISTED, bao, refusal, sent


async def test_listed_tenants_have_their_keys() -> None:
    """After the load each tenant has its own key, with its slot and its source."""
    vault = await loaded(vault_of(LISTED, environ=ENV))
    assert vault.key("a") == Key("a", "key", Secret("key-a"))
    assert vault.key("b").secret.reveal() == "key-b"


async def test_a_tenant_that_does_not_exist_is_denied() -> None:
    """Without [discover] an unlisted tenant is answered at once, as a forbidden one."""
    vault = await loaded(vault_of(LISTED, environ=ENV))
    assert await refusal(vault, "c") == "tenant_denied"


async def test_strict_loads_list_every_key_that_cannot_be_had() -> None:
    """With `strict` each missing or malformed local key is a problem; none quotes a value."""
    file = vault_file(
        {
            "a": {"key": {"env": "NONE"}, "previous": {"env": "BAD"}},
            "b": {"key": {"value": "sk_canary\n"}},
            "c": {"key": {"env": "A"}},
        }
    )
    problems = await vault_of(file, environ={**ENV, "BAD": "sk_canary é"}).load()
    assert [problem.key for problem in problems] == [
        "tenants.a.key",
        "tenants.a.previous",
        "tenants.b.key",
    ]
    assert "sk_canary" not in str(problems)


async def test_without_strict_only_the_broken_tenant_suffers() -> None:
    """With `strict = false` a start goes on; the tenant without a key answers 503."""
    file = vault_file({"a": {"key": {"env": "NONE"}}, "b": {"key": {"env": "B"}}})
    vault = vault_of(file, vault_settings(strict=False), ENV)
    assert await vault.load() == []
    assert await refusal(vault, "a") == "key_unavailable"
    assert await sent(vault, "b") == "key-b"


async def test_a_reload_is_seen_whole_and_removes_at_once() -> None:
    """A removed tenant is denied, a new one served, a changed one changed, by one stroke."""
    vault = await loaded(vault_of(LISTED, environ=ENV))
    file = vault_file({"b": {"key": {"value": "new-b"}}, "c": {"key": {"value": "key-c"}}})
    snapshot = await vault.prepare(file, vault_settings())
    assert vault.key("a").secret.reveal() == "key-a"
    vault.commit(snapshot)
    assert await refusal(vault, "a") == "tenant_denied"
    assert vault.key("b").secret.reveal() == "new-b"
    assert vault.key("c").secret.reveal() == "key-c"


async def test_a_key_that_breaks_on_reload_stays_as_it_was() -> None:
    """A malformed new key leaves the tenant its last good one, and is told of."""
    events: list[Event] = []
    vault = await loaded(vault_of(LISTED, environ=ENV, events=events))
    file = vault_file({"a": {"key": {"value": ""}}, "b": {"key": {"env": "B"}}})
    assert await replace(vault, file, vault_settings()) == []
    assert vault.key("a").secret.reveal() == "key-a"
    assert [
        event.tenant
        for event in events
        if isinstance(event, KeyRefreshed) and event.outcome == "failure"
    ] == ["a"]


async def test_files_are_read_again_on_reload(tmp_path: Path) -> None:
    """A reload takes a key file's new content, and keeps the old key if the file is gone."""
    path = tmp_path / "key"
    path.write_text("one\n")
    file = vault_file({"a": {"key": {"file": path}}})
    vault = await loaded(vault_of(file))
    path.write_text("two\n")
    await replace(vault, file, vault_settings())
    assert vault.key("a").secret.reveal() == "two"
    path.unlink()
    await replace(vault, file, vault_settings())
    assert vault.key("a").secret.reveal() == "two"


async def test_resolve_reads_other_secrets() -> None:
    """An issuer's secret comes from the same sources; what is wrong is a problem at its place."""
    vault = vault_of(LISTED, environ={"S": "shared$word!"})
    assert (await vault.resolve(key_source(env="S"), "g.toml", "x")).reveal() == "shared$word!"
    with pytest.raises(ConfigurationError) as caught:
        await vault.resolve(key_source(env="NONE"), "g.toml", "issuers[0].secret")
    (problem,) = caught.value.problems
    assert (problem.file, problem.key) == ("g.toml", "issuers[0].secret")
    assert problem.found == "environment variable NONE is not set"
    assert problem.expected == "a secret that can be read"


async def test_the_table_shows_fingerprints_only() -> None:
    """`tenants` tells each slot's source, fingerprint and state, and no key."""
    file = vault_file({"a": {"key": {"env": "A"}, "previous": {"env": "A_OLD"}}})
    vault = await loaded(vault_of(file, environ=ENV))
    rows = vault.tenants()
    assert [(row.tenant, row.slot, row.source, row.state) for row in rows] == [
        ("a", "key", "env A", "ok"),
        ("a", "previous", "env A_OLD", "ok"),
    ]
    assert rows[0].fingerprint == Secret("key-a").fingerprint
    assert "key-a" not in repr(rows)


async def test_events_bear_no_key() -> None:
    """Reads are told with tenant, kind and outcome."""
    events: list[Event] = []
    await loaded(vault_of(LISTED, environ=ENV, events=events))
    assert events == [KeyRefreshed("a", "env", "success"), KeyRefreshed("b", "env", "success")]


async def test_ten_thousand_tenants_load_quickly_and_reload_unnoticed() -> None:
    """Case 164's scale: 10,000 keys load, and a reload gives way to others again and again."""
    environ = {f"K{n}": f"key-{n}" for n in range(10_000)}
    file = vault_file({f"t{n}": {"key": {"env": f"K{n}"}} for n in range(10_000)})
    vault = await loaded(vault_of(file, environ=environ))
    reload = asyncio.ensure_future(replace(vault, file, vault_settings()))
    # CPU time of each turn of the loop: other work on the machine must not count.
    stalls = [0.0]
    with uncollected():
        while not reload.done():
            turn = time.thread_time()
            await asyncio.sleep(0)
            stalls.append(time.thread_time() - turn)
    assert await reload == []
    assert max(stalls) < sum(stalls) / 3


async def test_a_key_that_is_away_is_told_why() -> None:
    """In the log; the caller learns no more than that it is unavailable."""
    file = vault_file({"a": {"key": {"env": "NONE"}}})
    vault = vault_of(file, vault_settings(strict=False), ENV)
    await vault.load()
    with pytest.raises(GatewayFault) as caught:
        vault.key("a")
    assert (caught.value.key, caught.value.cause) == ("key_unavailable", "not_found")


async def test_slots_that_leave_the_configuration_are_retired() -> None:
    """And no others: what is in the background for them ends."""
    file = vault_file({"a": {"key": {"env": "A"}, "previous": {"env": "A_OLD"}},
                       "b": {"key": {"env": "B"}}})  # fmt: skip
    vault = await loaded(vault_of(file, environ=ENV))
    slots = {(slot.tenant, slot.name): slot for ring in vault.rings() for slot in ring.slots}
    await replace(vault, vault_file({"a": {"key": {"env": "A"}}}), vault_settings())
    retired = {place for place, slot in slots.items() if slot.retired}
    assert retired == {("a", "previous"), ("b", "key")}


async def test_a_reload_keeps_what_speaks_to_stores_unless_settings_change(
    store: FakeStore,
) -> None:
    """Connections and logins outlive it; with other settings all begin anew, and all are read."""
    file = vault_file({"a": {"key": bao("x/a")}, "b": {"key": {"env": "B"}}})
    vault = await loaded(vault_of(file, environ=ENV))
    local = vault._reader.sources["env"]
    await replace(vault, file, vault_settings())
    assert vault._reader.sources["env"] is local
    assert not store.closed
    more = vault_file({"a": {"key": {"env": "A"}}, "b": {"key": {"env": "B"}}})
    await replace(vault, more, vault_settings(refresh=60))
    assert vault._reader.sources["env"] is not local
    assert [await sent(vault, tenant) for tenant in "ab"] == ["key-a", "key-b"]
