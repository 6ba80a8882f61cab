"""From one vault file to the next: what a slot takes over, and from which."""

from typing import Any

import pytest

from gateway.secret import Secret
from gateway.vault.key_ring import NEVER, KeyRing, Slot
from gateway.vault.snapshot import kinds_of, new_slot, rings_of
from tests.support.vaults import key_source, vault_file, vault_settings

SETTINGS = vault_settings(refresh=60, stale_grace=600).vault
ONE, TWO, THREE = {"env": "ONE"}, {"env": "TWO"}, {"env": "THREE"}


def rings(old: dict[str, KeyRing] | None = None, **tenants: Any) -> dict[str, KeyRing]:
    """The rings of a vault file with these tenants, after those of the last one."""
    return rings_of(vault_file(tenants), SETTINGS, old or {})


def read(ring: KeyRing, *values: str) -> None:
    """Gives each slot a key, of which much is known by now."""
    for number, (slot, value) in enumerate(zip(ring.slots, values, strict=True)):
        slot.loaded(Secret(value), 10.0 + number)
        if slot.candidate is not None:
            slot.confirmed(slot.candidate)
        slot.rejected_at = 20.0 + number
        slot.expires_at = 1000.0 + number


def told(slot: Slot) -> tuple[str, float, float | None]:
    """A slot's key and what is known of it; the key names the slot that it is in."""
    assert slot.key is not None
    assert slot.key.slot == slot.name
    return slot.key.secret.reveal(), slot.rejected_at, slot.expires_at


def test_what_did_not_change_goes_on_itself() -> None:
    """The very slot, with whatever is known or under way."""
    old = rings(acme={"key": ONE, "previous": TWO, "workspace": "w-1"})
    new = rings(old, acme={"key": ONE, "previous": TWO, "workspace": "w-1"})
    assert new["acme"].slots == old["acme"].slots


def test_a_new_source_begins_with_the_last_good_key() -> None:
    """Until it has been read the tenant is served as before."""
    old = rings(acme={"key": ONE})
    read(old["acme"], "one")
    new = rings(old, acme={"key": THREE})
    [slot] = new["acme"].slots
    assert slot is not old["acme"].slots[0]
    assert told(slot) == ("one", 20.0, 1000.0)
    assert slot.good_until == old["acme"].slots[0].good_until


def test_a_source_that_moves_takes_its_key_along() -> None:
    """`previous` gets the key that was in use; a swap swaps; the name alone counts last."""
    old = rings(acme={"key": ONE})
    read(old["acme"], "one")
    key, previous = rings(old, acme={"key": TWO, "previous": ONE})["acme"].slots
    assert told(key) == told(previous) == ("one", 20.0, 1000.0)
    old = rings(acme={"key": ONE, "previous": TWO})
    read(old["acme"], "one", "two")
    key, previous = rings(old, acme={"key": TWO, "previous": ONE})["acme"].slots
    assert told(key) == ("two", 21.0, 1001.0)
    assert told(previous) == ("one", 20.0, 1000.0)


def test_a_slot_that_was_never_read_hands_nothing_on() -> None:
    """Then the key of the same name serves, if there is one."""
    old = rings(acme={"key": ONE, "previous": TWO})
    old["acme"].slots[0].loaded(Secret("one"), 10.0)
    key, _ = rings(old, acme={"key": TWO, "previous": THREE})["acme"].slots
    assert told(key)[0] == "one"


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [("w-1", None, True), ("w-1", "w-1", True), (None, "w-1", False), ("w-1", "w-2", False)],
)
def test_a_new_pin_keeps_no_key(before: str | None, after: str | None, kept: bool) -> None:
    """What Invopop has not vouched for under this pin is not used; without a pin all is well."""
    old = rings(acme={"key": ONE, "workspace": before})
    read(old["acme"], "one")
    [slot] = rings(old, acme={"key": TWO, "workspace": after})["acme"].slots
    assert (slot.key is not None) == kept


def test_no_key_passes_between_tenants() -> None:
    """Also if two name one source, or one takes the other's place."""
    old = rings(acme={"key": ONE})
    read(old["acme"], "one")
    new = rings(old, globex={"key": ONE})
    assert [slot.key for slot in new["globex"].slots] == [None]


def test_only_a_stores_keys_grow_too_old() -> None:
    """Its last answer is believed for a refresh and the grace; what is on this machine, always."""
    store = new_slot("acme", "key", key_source(aws="x"), SETTINGS)
    assert (store.max_age, store.pin) == (660.0, None)
    assert new_slot("acme", "key", key_source(env="X"), SETTINGS).max_age == float("inf")


def test_the_grace_of_a_store_can_change_without_losing_a_key() -> None:
    """Other settings make another slot, which has the key of the one before."""
    entry = {"key": {"aws": "x"}}
    old = rings(acme=entry)
    read(old["acme"], "one")
    settings = vault_settings(refresh=60, stale_grace=0).vault
    [slot] = rings_of(vault_file({"acme": entry}), settings, old)["acme"].slots
    assert (slot.max_age, told(slot)) == (60.0, ("one", 20.0, 1000.0))


def test_each_kind_of_source_has_the_first_place_that_names_it() -> None:
    """So that a store without settings is reported where it is asked for."""
    file = vault_file(
        {
            "acme": {"key": ONE, "previous": {"aws": "x"}},
            "globex": {"key": {"aws": "y"}, "previous": {"gcp": "z"}},
        }
    )
    assert kinds_of(file) == {
        "env": "tenants.acme.key",
        "aws": "tenants.acme.previous",
        "gcp": "tenants.globex.previous",
    }


def test_when_a_tenant_was_last_used_outlives_a_reload() -> None:
    """Also where its key changed; a new tenant was never used."""
    old = rings(acme={"key": ONE})
    old["acme"].used_at = 77.0
    new = rings(old, acme={"key": TWO}, globex={"key": THREE})
    assert (new["acme"].used_at, new["globex"].used_at) == (77.0, NEVER)
