"""`explain` where the key is what matters: pinned, in a store, or not to be had."""

import pytest

from gateway.secret import Secret
from tests.support.vaults import FakeStore, opened_by
from tests.unit.cli.conftest import WORKSPACE, Configured

ASKED = ("--caller", "billing", "--tenant", "acme", "GET", "/silo/v1/entries")
STORES = {"openbao": {"url": "https://bao.internal", "token": {"value": "t"}}}
FINGERPRINT = Secret("sk_of_acme").fingerprint


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    """A store with the key of acme, where `openbao` sources are read."""
    fake = FakeStore({"kv/acme": "sk_of_acme", "kv/globex": "sk_of_globex"})
    opened_by(monkeypatch, "openbao", lambda _: fake)
    return fake


def test_a_key_that_waits_for_its_pin(configured: Configured) -> None:
    """It is no refusal: `serve` asks Invopop first. Told at once, with what is to be confirmed."""
    configured.vault({"acme": {"key": {"value": "sk_of_acme"}, "workspace": WORKSPACE}})
    code, told = configured.command("explain", *ASKED)
    assert code == 0, told
    assert "allowed    yes" in told
    words = (
        f"key        {FINGERPRINT} (key, from value), once Invopop confirms workspace {WORKSPACE}"
    )
    assert words in told
    assert "sends      GET https://api.invopop.com/silo/v1/entries" in told


def test_the_other_key_waits_where_there_is_no_first(configured: Configured) -> None:
    """As `serve` would: `previous`, if `key` is unavailable."""
    configured.configure(vault={"strict": False})
    keys = {"key": {"file": "nowhere"}, "previous": {"value": "sk_of_acme"}}
    configured.vault({"acme": {**keys, "workspace": WORKSPACE}})
    code, told = configured.command("explain", *ASKED)
    assert code == 0, told
    assert f"{FINGERPRINT} (previous, from value), once Invopop" in told


def test_a_pinned_key_in_a_store(configured: Configured, store: FakeStore) -> None:
    """Its store is asked, for this tenant's key alone."""
    configured.configure(vault=STORES)
    tenants = {
        name: {"key": {"openbao": f"kv/{name}", "field": "f"}} for name in ("acme", "globex")
    }
    configured.vault({name: {**entry, "workspace": WORKSPACE} for name, entry in tenants.items()})
    code, told = configured.command("explain", *ASKED)
    assert code == 0, told
    assert f"{FINGERPRINT} (key, from openbao kv/acme#f), once Invopop" in told
    assert store.reads == ["kv/acme"]


def test_keys_of_stores_without_a_pin(configured: Configured, store: FakeStore) -> None:
    """Listed, or found by [discover]: nothing is waited for. One that is nowhere is refused."""
    configured.configure(vault=STORES)
    configured.vault(
        {"acme": {"key": {"openbao": "kv/acme", "field": "f"}}},
        discover={"key": {"openbao": "kv/{tenant}", "field": "f"}},
    )
    code, told = configured.command("explain", *ASKED)
    assert (code, f"key        {FINGERPRINT} (key, from openbao kv/acme#f)\n" in told) == (0, True)
    asked = [word.replace("acme", "globex") for word in ASKED]
    code, told = configured.command("explain", *asked)
    assert (code, "(key, from openbao kv/globex#f)\n" in told) == (0, True)
    assert store.reads == ["kv/acme", "kv/globex"]
    del store.secrets["kv/acme"]
    code, told = configured.command("explain", *ASKED)
    assert (code, "503 key_unavailable" in told, "(not_found)" in told) == (1, True, True), told


def test_a_misspelt_caller_is_answered_with_the_nearest(configured: Configured) -> None:
    """And with the callers that there are, if none is similar."""
    _, output = configured.command("explain", "--caller", "biling", "GET", "/x")
    assert "caller_unknown" in output
    assert "callers    billing\n" in output
    _, output = configured.command("explain", "--caller", "zzz", "GET", "/x")
    assert "callers    billing\n" in output
