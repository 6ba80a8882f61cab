"""Warnings of tenants that share a key or a workspace."""

from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.shared_keys import shared_keys
from gateway.settings.vault_file import TenantEntry


def value(text: str) -> KeySource:
    """A key in the vault file itself."""
    return KeySource("value", "", None, Secret(text))


def test_one_key_of_two_tenants_is_warned_of_by_fingerprint() -> None:
    """Whether it is `key` or `previous`; the key itself is not shown."""
    a, b = TenantEntry(key=value("sk_same")), TenantEntry(key=value("x"), previous=value("sk_same"))
    (text,) = shared_keys({"a": a, "b": b, "c": TenantEntry(key=value("sk_c"))})
    assert text.startswith("tenants.a: a and b have the same key")
    assert Secret("sk_same").fingerprint in text
    assert "sk_same" not in text


def test_one_place_of_two_tenants_is_one_key() -> None:
    """The same file; another member of it is another key."""
    sources = [KeySource("file", "/run/k", field) for field in ("x", "x", "y")]
    tenants = {name: TenantEntry(key=key) for name, key in zip("abc", sources, strict=True)}
    (text,) = shared_keys(tenants)
    assert "a and b have the same key" in text


def test_one_workspace_of_two_tenants_is_warned_of() -> None:
    """Each with a key of its own."""
    tenants = {name: TenantEntry(key=value(name), workspace="w-1") for name in ("a", "b", "c")}
    (text,) = shared_keys(tenants)
    assert text.startswith("tenants.a.workspace: a, b and c have the same workspace")


def test_a_previous_equal_to_key_is_warned_of() -> None:
    """It is of no use: a rejected key is no help against itself."""
    tenants = {"a": TenantEntry(key=value("sk_1"), previous=value("sk_1"))}
    (text,) = shared_keys(tenants)
    assert text.startswith("tenants.a.previous: the same key as `key`")


def test_very_many_warnings_are_counted() -> None:
    """Names, and warnings of one kind, are limited."""
    tenants = {f"t{n}": TenantEntry(key=value(f"k{n // 10}")) for n in range(1000)}
    texts = list(shared_keys(tenants))
    assert len(texts) == 21
    assert "t0, t1, t2, t3, t4 and 5 more have the same key" in texts[0]
    assert texts[-1] == "tenants: 80 more warnings like the last"


def test_separate_tenants_are_not_warned_of() -> None:
    """Nothing is said of keys and workspaces that differ."""
    tenants = {n: TenantEntry(key=value(n), workspace=f"w-{n}") for n in "ab"}
    assert list(shared_keys(tenants)) == []
