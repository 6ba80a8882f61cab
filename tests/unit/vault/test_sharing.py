"""Tenants that share the key of another (`use`)."""

import pytest

from gateway.errors import CallerError, GatewayFault
from gateway.events import Event, KeyRejected
from gateway.secret import Secret
from gateway.settings.vault_file import SharingEntry
from gateway.vault.key_ring import KeyNeeded, KeyRing
from gateway.vault.sharing import MAX_SHARED, Sharing
from gateway.vault.snapshot import new_slot
from gateway.vault.vault import Vault
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

ENVIRON = {"ES": "sk_es", "PT": "sk_pt", "OLD": "sk_old", "OWN": "sk_own"}
ES = {"key": {"env": "ES"}}
PT = {"key": {"env": "PT"}}
USE_ES = {"use": "es"}
USE_PT = {"use": "pt"}


def ring_of(tenant: str) -> KeyRing:
    """A ring whose key was never read."""
    return KeyRing((new_slot(tenant, "key", key_source(env="X"), vault_settings().vault),))


def sharing_of(**uses: str) -> Sharing:
    """`uses` by name; `_` stands for `-`, and `X` for `*`."""
    names = {name.replace("_", "-").replace("X", "*"): use for name, use in uses.items()}
    entries = {name: SharingEntry(use=use) for name, use in names.items()}
    return Sharing(entries, {use: ring_of(use) for use in uses.values()})


def used(sharing: Sharing, tenant: str) -> str | None:
    """The tenant whose ring that one has."""
    found = sharing.find(tenant)
    return found.slots[0].tenant if found else None


async def refused(vault: Vault, tenant: str) -> str:
    """Why there is no key."""
    try:
        vault.key(tenant)
    except (CallerError, GatewayFault) as error:
        return error.key
    except KeyNeeded:
        return "needed"
    return ""


def test_exact_names_win_over_globs_and_longer_globs_over_shorter() -> None:
    """The order in the file decides between equally long ones only."""
    sharing = sharing_of(
        hX="es", hotel_X="pt", hotel_a="it", hotel_bX="fr", aX="de", Xz="at", hotel_bbX="se"
    )
    names = ("hotel-a", "hotel-b1", "hotel-bb", "hotel-c", "hostel", "az", "x", "")
    assert [used(sharing, name) for name in names] == [
        "it", "fr", "se", "pt", "es", "de", None, None,
    ]  # fmt: skip


def test_a_listed_tenant_is_covered_by_no_glob() -> None:
    """Nor is `other`, which is what metrics call the tenants past their limit."""
    sharing = sharing_of(X="es")
    assert [used(sharing, name) for name in ("es", "other", "others")] == [None, None, "es"]


def test_what_is_kept_of_tenants_in_use_is_bounded() -> None:
    """The latest are kept; all others are found again."""
    sharing = sharing_of(hotel_X="es")
    first = sharing.find("hotel-0")
    for number in range(3 * MAX_SHARED):
        assert sharing.find(f"hotel-{number}") is not None
    assert len(sharing.in_use()) <= MAX_SHARED
    again = sharing.find("hotel-0")
    assert again is not None
    assert first is not None
    assert again is not first
    assert again.ring is first.ring


async def test_a_tenant_with_use_has_the_key_of_the_other_under_its_own_name() -> None:
    """Its slots are the same, so that rotation and reads are shared."""
    file = vault_file({"es": ES, "hotel-a": USE_ES, "inn-*": USE_ES})
    vault = await loaded(vault_of(file, environ=ENVIRON))
    keys = [vault.key(name) for name in ("es", "hotel-a", "inn-7")]
    assert [(key.tenant, key.secret.reveal()) for key in keys] == [
        ("es", "sk_es"), ("hotel-a", "sk_es"), ("inn-7", "sk_es"),
    ]  # fmt: skip
    assert vault.key("hotel-a") is keys[1]  # not made anew for each request
    assert [row.tenant for row in vault.tenants()] == ["es"]
    assert [vault.holder(name) for name in ("es", "hotel-a", "inn-7", "x")] == [
        "es", "es", "es", "x",
    ]  # fmt: skip
    assert await refused(vault, "inn") == "tenant_denied"


async def test_a_removed_use_stops_at_once() -> None:
    """Listed or covered, as soon as the new file is in use."""
    before = vault_file({"es": ES, "hotel-a": USE_ES, "inn-*": USE_ES})
    vault = await loaded(vault_of(before, environ=ENVIRON))
    assert vault.has("hotel-a")
    assert vault.key("inn-7").secret.reveal() == "sk_es"
    assert await replace(vault, vault_file({"es": ES}), vault_settings()) == []
    assert [await refused(vault, name) for name in ("hotel-a", "inn-7")] == ["tenant_denied"] * 2
    for name in ("hotel-a", "inn-7"):
        with pytest.raises(CallerError):
            vault.require(name)
    assert vault.key("es").secret.reveal() == "sk_es"


async def test_another_use_takes_effect_at_once() -> None:
    """Another tenant's key, its own key, and back."""
    vault = await loaded(
        vault_of(vault_file({"es": ES, "pt": PT, "hotel-a": USE_ES}), environ=ENVIRON)
    )
    keys = [vault.key("hotel-a").secret.reveal()]
    for hotel in (USE_PT, {"key": {"env": "OWN"}}, USE_ES):
        file = vault_file({"es": ES, "pt": PT, "hotel-a": hotel})
        assert await replace(vault, file, vault_settings()) == []
        keys.append(vault.key("hotel-a").secret.reveal())
    assert keys == ["sk_es", "sk_pt", "sk_own", "sk_es"]


async def test_a_key_rejected_through_one_tenant_is_condemned_for_all() -> None:
    """All use `previous` from then on; the event names the tenant that holds the key."""
    events: list[Event] = []
    es = {"key": {"env": "ES"}, "previous": {"env": "OLD"}}
    file = vault_file({"es": es, "hotel-a": USE_ES, "hotel-*": USE_ES})

    async def check(secret: Secret) -> str:
        if secret.reveal() == "sk_es":
            raise GatewayFault("key_rejected")
        return "w"

    vault = await loaded(vault_of(file, environ=ENVIRON, events=events, check=check))
    async with running(vault):
        rejected = vault.key("hotel-a")
        other = await vault.rejections.other_key(rejected)
        assert other is not None
        assert (other.tenant, other.slot, other.secret.reveal()) == (
            "hotel-a", "previous", "sk_old",
        )  # fmt: skip
        assert await vault.rejections.condemned(rejected)
        for name in ("es", "hotel-a", "hotel-b"):
            assert vault.key(name).secret.reveal() == "sk_old"
            assert vault.key(name).tenant == name
    (event,) = (one for one in events if isinstance(one, KeyRejected))
    assert (event.tenant, event.slot) == ("es", "key")


async def test_a_store_is_read_once_for_all_that_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request of any of them waits for the same read."""
    store = FakeStore({"kv/es": "sk_es"})
    opened_by(monkeypatch, "openbao", lambda _: store)
    file = vault_file({"es": {"key": {"openbao": "kv/es"}}, "hotel-*": USE_ES})
    vault = await loaded(vault_of(file))
    async with running(vault):
        for name in ("hotel-a", "hotel-b", "es"):
            key = await vault.read(name, "billing")
            assert (key.tenant, key.secret.reveal()) == (name, "sk_es")
    assert store.reads == ["kv/es"]


async def test_a_glob_comes_before_discovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes over what discovery found, as soon as the new file is in use."""
    store = FakeStore({"kv/hotel-a": "sk_found", "kv/inn": "sk_inn"})
    opened_by(monkeypatch, "openbao", lambda _: store)
    discover = {"key": {"openbao": "kv/{tenant}"}}
    vault = await loaded(vault_of(vault_file({"es": ES}, discover=discover), environ=ENVIRON))
    async with running(vault):
        for name in ("hotel-a", "inn"):
            await vault.read(name, "billing")
        reads = len(store.reads)
        file = vault_file({"es": ES, "hotel-*": USE_ES}, discover=discover)
        assert await replace(vault, file, vault_settings()) == []
        keys = [vault.key(name).secret.reveal() for name in ("hotel-a", "hotel-b", "inn")]
        assert keys == ["sk_es", "sk_es", "sk_inn"]
    assert "kv/hotel-a" not in store.reads[reads:]


async def test_tenants_that_share_a_key_cost_nothing_until_used() -> None:
    """Of 100,000, listed or covered, nothing is kept but their names; no key is made or read."""
    uses = {f"hotel-{number}": USE_ES for number in range(100_000)}
    events: list[Event] = []
    file = vault_file({"es": ES, **uses, "inn-*": USE_ES})
    vault = await loaded(vault_of(file, environ=ENVIRON, events=events))
    assert (len(list(vault.rings())), len(vault.sharing.in_use()), len(events)) == (1, 0, 1)
    for number in range(MAX_SHARED + 1):
        assert vault.key(f"inn-{number}").tenant == f"inn-{number}"
    assert len(list(vault.rings())) == 1
    assert len(vault.sharing.in_use()) <= MAX_SHARED
