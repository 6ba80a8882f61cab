"""Warnings of keys that turn out to be the same, or of the same workspace."""

from gateway.pin import Pin
from gateway.secret import Secret
from gateway.vault.equal_keys import equal_keys
from gateway.vault.key_ring import KeyRing, Slot
from tests.support.vaults import key_source, loaded, running, vault_file, vault_of

K1 = Secret("sk_1")


def slot(
    tenant: str, value: str = "", opens: str = "", pin: Pin | None = None, file: str | None = None
) -> Slot:
    """A slot with that key, read from a place of its own unless one is given."""
    source = key_source(file=file, env=None if file else tenant.upper())
    one = Slot(tenant, "key", source, pin)
    if value:
        one.loaded(Secret(value), 0.0)
    if one.candidate is not None:
        one.confirmed(one.candidate)
    one.opens = opens
    return one


def warned(*slots: Slot) -> list[str]:
    """The warnings of tenants with a slot each."""
    return equal_keys(KeyRing((one,)) for one in slots)


def test_one_key_from_two_places_is_warned_of_by_fingerprint() -> None:
    """Whoever looks at the files cannot see it."""
    (text,) = warned(slot("a", "sk_1"), slot("b", "sk_2"), slot("c", "sk_1"))
    assert text.startswith("tenants.a: a and c have the same key")
    assert K1.fingerprint in text
    assert "sk_1" not in text


def test_one_place_is_the_files_own_warning() -> None:
    """It is not said twice; a third place is."""
    same = [slot(name, "sk_1", file="/run/k") for name in ("a", "b")]
    assert warned(*same) == []
    (text,) = warned(*same, slot("c", "sk_1"))
    assert "a, b and c have the same key" in text


def test_a_key_that_waits_for_its_pin_counts() -> None:
    """Its value is known, whether it is used or not."""
    waiting = Slot("a", "key", key_source(env="A"), Pin("w"))
    waiting.loaded(K1, 0.0)
    assert len(warned(waiting, slot("b", "sk_1"))) == 1


def test_one_workspace_of_two_keys_is_warned_of() -> None:
    """If Invopop named it, and no pin in the file says so already."""
    abroad = Pin(country="ES")
    (text,) = warned(slot("a", "sk_1", "w", abroad), slot("b", "sk_2", "w", abroad))
    assert text.startswith("tenants.a: a and b have keys of the same workspace")
    pinned = Pin("w")
    assert warned(slot("a", "sk_1", "w", pinned), slot("b", "sk_2", "w", pinned)) == []
    assert warned(slot("a", "sk_1", "w"), slot("b", "sk_2", "v"), slot("c", "sk_3")) == []


def test_many_are_counted() -> None:
    """Thousands of lines would hide every other warning."""
    slots = [slot(f"t{n}", f"k{n // 2}") for n in range(100)]
    texts = warned(*slots)
    assert (len(texts), texts[-1]) == (21, "tenants: 30 more warnings like the last")


async def test_keys_of_a_vault_are_compared_as_they_are_read() -> None:
    """A `previous` equal to `key` too; tenants with `use` share one on purpose."""
    file = vault_file(
        {
            "a": {"key": {"env": "A"}, "previous": {"env": "OLD"}},
            "b": {"key": {"env": "B"}},
            "hotel-*": {"use": "b"},
        }
    )
    environ = {"A": "sk_1", "OLD": "sk_1", "B": "sk_2"}
    vault = await loaded(vault_of(file, environ=environ))
    async with running(vault):
        assert vault.key("hotel-a").secret.reveal() == "sk_2"
        (text,) = equal_keys(vault.rings())
    assert text.startswith("tenants.a.previous: the same key as `key` (fingerprint ")
