"""Edits of a vault file's text: what changes, and what stays."""

import tomllib

import pytest

from gateway.cli.vault_text import (
    EditError,
    entries,
    refuse_shared,
    rotated,
    with_key,
    without,
)
from gateway.secret import Secret

VAULT = """\
# who pays us

[tenants.acme]  # the big one
key = { env = "ACME_KEY" }  # in use
workspace = "w-1"

# about globex
[tenants.globex]
key = { file = "/run/globex" }
previous = { value = "old-globex" }

[tenants."in.itech"]
key = { value = "key-initech" }

# the rest
[discover]
key = { openbao = "secret/{tenant}", field = "f" }
"""
NEW = Secret("sk-new")


def test_setting_a_key_changes_nothing_else() -> None:
    """Comments, order and the tenant's other settings stay."""
    text = with_key(VAULT, "acme", NEW)
    assert text == VAULT.replace('{ env = "ACME_KEY" }', '{value = "sk-new"}')


def test_a_new_tenant_is_added() -> None:
    """A tenant that is not there yet gets a table of its own; all else stays."""
    tree = tomllib.loads(with_key(VAULT, "new.one", NEW))
    assert tree["tenants"].pop("new.one") == {"key": {"value": "sk-new"}}
    assert tree == tomllib.loads(VAULT)


@pytest.mark.parametrize("text", ["[tenants]\n", "# none yet\n[tenants]\n", "tenants = {}\n", ""])
def test_the_first_tenant(text: str) -> None:
    """An empty vault takes a tenant, however it is written."""
    assert tomllib.loads(with_key(text, "a", NEW)) == {
        "tenants": {"a": {"key": {"value": "sk-new"}}}
    }


def test_the_first_tenant_gets_a_table_of_its_own() -> None:
    """And nothing else is written."""
    assert with_key("", "a", NEW) == '[tenants.a]\n\nkey = {value = "sk-new"}\n'


def test_rotation_keeps_the_key_in_use_as_previous() -> None:
    """`rotate` moves `key` to `previous`, beside it; comments of the next table stay there."""
    text = rotated(VAULT, "acme", NEW)
    acme = '{value = "sk-new"}  # in use\nprevious = {env = "ACME_KEY"}\n'
    assert text == VAULT.replace('{ env = "ACME_KEY" }  # in use\n', acme)


def test_rotation_replaces_an_older_previous() -> None:
    """Of three keys the oldest is dropped."""
    tree = tomllib.loads(rotated(VAULT, "globex", NEW))["tenants"]["globex"]
    assert tree == {"key": {"value": "sk-new"}, "previous": {"file": "/run/globex"}}


@pytest.mark.parametrize(
    "text",
    [
        '[tenants]\na = { key = { env = "A" } }\n',
        'tenants.a.key.env = "A"\n',
        '[tenants.a.key]\nenv = "A"\n',
        'tenants = { a = { key = { env = "A" } } }\n',
        '[tenants.a]\nkey.env = "A"\n',
    ],
)
def test_every_way_to_write_a_tenant(text: str) -> None:
    """However TOML lets a tenant be written, it can be set, rotated and removed."""
    new = {"value": "sk-new"}
    assert tomllib.loads(with_key(text, "a", NEW))["tenants"]["a"] == {"key": new}
    expected = {"key": new, "previous": {"env": "A"}}
    assert tomllib.loads(rotated(text, "a", NEW))["tenants"]["a"] == expected
    assert tomllib.loads(without(text, "a")) == {"tenants": {}}


def test_removal_takes_the_tenants_lines_only() -> None:
    """Comments before the next table are about that one, and stay."""
    start, end = VAULT.index("[tenants.acme]"), VAULT.index("\n# about globex")
    assert without(VAULT, "acme") == VAULT[:start] + VAULT[end + 1 :]
    assert "# the rest" in without(VAULT, "in.itech")


A, B = '[tenants.a]\nkey = { env = "A" }\n', '[tenants.b]\nkey = { env = "B" }\n'


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"{A}# about b\n{B}", f"# about b\n{B}"),
        (f"{A}\n# one\n\n# two\n{B}", f"# one\n\n# two\n{B}"),
        (f"{A}\n\n  # about b\n  {B}", f"  # about b\n  {B}"),
        (f"{B}\n{A}# about a\n\n", f"{B}\n"),
        (f"{B}\n{A}\n# about a\n", f"{B}\n"),
        (f"{B}\n{A}", f"{B}\n"),
        (f"# mine\n\n{A}", "# mine\n\n\n[tenants]\n"),
    ],
)
def test_what_removal_leaves(text: str, left: str) -> None:
    """To the byte, wherever the tenant stands and whatever stands around it."""
    assert without(text, "a") == left


def test_the_last_tenant_leaves_a_valid_empty_vault() -> None:
    """A vault without tenants says so; a file with no table would be refused as torn."""
    assert without('[tenants.a]\nkey = { env = "A" }\n', "a") == "[tenants]\n"


def test_entries_show_no_key() -> None:
    """The list names sources, and a fingerprint where the key is in the file."""
    found = entries(VAULT)
    assert [(one.tenant, one.slot, one.source) for one in found] == [
        ("acme", "key", "env ACME_KEY"),
        ("globex", "key", "file /run/globex"),
        ("globex", "previous", "value"),
        ("in.itech", "key", "value"),
    ]
    assert [one.fingerprint for one in found[:2]] == ["", ""]
    assert found[2].fingerprint == Secret("old-globex").fingerprint
    assert "old-globex" not in repr(found)


@pytest.mark.parametrize("edit", [rotated, lambda text, name, _: without(text, name)])
def test_an_unknown_tenant_is_an_error(edit) -> None:  # type: ignore[no-untyped-def]
    """Only `set` makes tenants."""
    for text in (VAULT, "# nothing yet\n"):
        with pytest.raises(EditError, match="the vault file has no tenant 'nobody'"):
            edit(text, "nobody", NEW)


@pytest.mark.parametrize("key", ["", "sk canary", "sk_canary\n", "sk_canary\u00e9"])
def test_a_key_that_could_not_be_sent_is_refused(key: str) -> None:
    """A malformed key never gets into the file, and is not quoted."""
    with pytest.raises(EditError) as caught:
        with_key(VAULT, "acme", Secret(key))
    assert str(caught.value).startswith("the key ")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "other", "a b", ".a", "a/b", "é"])
def test_a_name_that_could_not_be_loaded_is_refused(name: str) -> None:
    """No change is written that the gateway would refuse to load."""
    with pytest.raises(EditError, match=r"^the vault file would not load: tenants\..*: found this"):
        with_key(VAULT, name, NEW)


WRONG = {
    "[tenants.a]\n":
        'tenants.a.key: found nothing, expected a key source, such as { env = "ACME_KEY" }',
    '[tenants.a]\nkey = "sk_canary"\n':
        'tenants.a.key: found a string, expected a key source, such as { env = "ACME_KEY" }',
    '[tenants.a]\nkey = { env = "A" }\nkeys = "sk_canary"\n':
        "tenants.a.keys: found an unknown key, expected a known key; the nearest is `key`",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_a_file_that_would_not_load_is_said_to(text: str) -> None:
    """As `check` says it: the place, what is there, and what should be; no key is quoted."""
    with pytest.raises(EditError) as caught:
        entries(text)
    assert str(caught.value) == f"the vault file would not load: {WRONG[text]}"


def test_relative_files_are_no_error() -> None:
    """They are listed as they are written."""
    (entry,) = entries('[tenants.a]\nkey = { file = "keys/a" }\n')
    assert entry.source == "file keys/a"


def test_a_broken_file_is_not_quoted() -> None:
    """What is no TOML is left alone."""
    with pytest.raises(EditError) as caught:
        with_key('[tenants.a]\nkey = { value = "sk_canary }\n', "a", NEW)
    assert str(caught.value) == "the vault file is not TOML"


SHARED = """\
[tenants.es]
key = { value = "sk-es" }

[tenants.hotel-a]  # Spain
use = "es"

[tenants."hotel-*"]
use = "es"
"""


def test_a_tenant_that_shares_a_key_is_listed_with_whose_it_is() -> None:
    """It has no slot and no fingerprint of its own."""
    fingerprint = Secret("sk-es").fingerprint
    assert [tuple(entry) for entry in entries(SHARED)] == [
        ("es", "key", "value", fingerprint),
        ("hotel-a", "", "use es", ""),
        ("hotel-*", "", "use es", ""),
    ]


def test_a_shared_key_is_changed_where_it_is() -> None:
    """`set` and `rotate` of a tenant that shares one say whose it is; that one can be changed."""
    for edit in (with_key, rotated, lambda text, tenant, _: refuse_shared(text, tenant)):
        with pytest.raises(EditError, match="hotel-a uses the key of es: change it there"):
            edit(SHARED, "hotel-a", NEW)
    assert tomllib.loads(rotated(SHARED, "es", NEW))["tenants"]["es"]["key"] == {"value": "sk-new"}
    for edit in (rotated, lambda text, tenant, _: without(text, tenant)):
        with pytest.raises(EditError, match=r"hotel-b is not listed; it is covered by 'hotel-\*'"):
            edit(SHARED, "hotel-b", NEW)
    tenants = tomllib.loads(with_key(SHARED, "hotel-b", NEW))["tenants"]
    assert tenants["hotel-b"] == {"key": {"value": "sk-new"}}


def test_a_used_key_is_not_removed() -> None:
    """Before those that use it; they can be removed, globs as well."""
    with pytest.raises(EditError, match=r"the key of es is used by hotel-a, hotel-\*: remove"):
        without(SHARED, "es")
    left = without(SHARED, "hotel-*")
    assert left == SHARED.partition('[tenants."')[0]
    assert tomllib.loads(without(without(left, "hotel-a"), "es")) == {"tenants": {}}
    many = "".join(f'[tenants.t{number:02}]\nuse = "es"\n' for number in range(12))
    with pytest.raises(EditError, match="t08, t09 and 2 more: remove those first"):
        without(f'[tenants.es]\nkey = {{ env = "A" }}\n{many}', "es")
