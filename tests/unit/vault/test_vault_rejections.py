"""Keys that Invopop rejects: read again, replaced, and not without end."""

import asyncio

from gateway.errors import GatewayFault
from gateway.events import Event, KeyRejected
from gateway.secret import Secret
from tests.support.vaults import FakeStore, loaded, replace, vault_file, vault_of, vault_settings
from tests.unit.vault.conftest import ENV, bao, sent


async def refusing(secret: Secret) -> str:
    """Invopop, which takes no key."""
    del secret
    raise GatewayFault("key_rejected")


async def test_a_rejected_key_is_read_again_and_replaced(store: FakeStore) -> None:
    """After a 401 the source's new key is tried at once, and used from then on."""
    events: list[Event] = []
    store.secrets["x/a"] = "old"
    vault = await loaded(
        vault_of(vault_file({"a": {"key": bao("x/a")}}), events=events, check=refusing)
    )
    await sent(vault, "a")
    old = vault.key("a")
    assert await vault.rejections.condemned(old)
    store.secrets["x/a"] = "new"
    others = await asyncio.gather(*(vault.rejections.other_key(old) for _ in range(20)))
    assert {other.secret.reveal() for other in others if other} == {"new"}
    assert vault.key("a").secret.reveal() == "new"
    assert store.reads == ["x/a"] * 2
    assert KeyRejected("a", "key", old.fingerprint) in events


async def test_a_rejected_key_falls_back_to_previous() -> None:
    """Without a newer key the other slot's is tried, and remembered."""
    file = vault_file({"a": {"key": {"env": "A"}, "previous": {"env": "A_OLD"}}})
    vault = await loaded(vault_of(file, environ=ENV, check=refusing))
    first = vault.key("a")
    other = await vault.rejections.other_key(first)
    assert other is not None
    assert (other.slot, other.secret.reveal()) == ("previous", "old-a")
    assert vault.key("a") == first  # a 401 alone condemns nothing
    assert await vault.rejections.condemned(first)
    assert vault.key("a") == other


async def test_rereads_cool_down(store: FakeStore) -> None:
    """A key that stays rejected does not make the gateway hammer its store."""
    store.secrets["x/a"] = "bad"
    vault = await loaded(vault_of(vault_file({"a": {"key": bao("x/a")}})))
    await sent(vault, "a")
    for _ in range(20):
        assert await vault.rejections.other_key(vault.key("a")) is None
    assert len(store.reads) == 2


async def test_nothing_is_sent_for_a_tenant_removed_meanwhile() -> None:
    """A 401 that comes back after its tenant was removed gives no other key."""
    file = vault_file({"a": {"key": {"env": "A"}, "previous": {"env": "A_OLD"}}})
    vault = await loaded(vault_of(file, environ=ENV))
    key = vault.key("a")
    await replace(vault, vault_file({}), vault_settings())
    assert await vault.rejections.other_key(key) is None
