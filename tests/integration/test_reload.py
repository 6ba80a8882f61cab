"""Reload of the running program: however a file changes; whole, at once, or not at all."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.edited_gateway import WITHIN, Operated, replace
from tests.support.gateway import eventually, token_hash
from tests.support.world import ISSUER, KEY_A, KEY_B, TOK_B, VAULT, fields, request

TOK_C = "igw_sentinel-token-of-a-newcomer-000000000c"
HELD = fields("200 OK", "Transfer-Encoding: chunked") + b"3\r\none\r\n"
REST = b"3\r\ntwo\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def _operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with Operated(tmp_path_factory.mktemp("operated")) as made:
        made.settings["callers"]["watcher"] = {
            "tokens": [token_hash(TOK_C)],
            "issuers": [],
            "tenants": ["*"],
        }
        made.configure({})
        made.reload()
        made.take_baseline()
        yield made


@pytest.fixture
def operated(_operated: Operated) -> Iterator[Operated]:
    """The gateway; afterwards all is as it was before, and nothing leaked."""
    yield _operated
    _operated.configure({})
    replace(_operated.directory / "vault.toml", restored())
    _operated.reload(times=2)
    _operated.check_invariants()


def restored() -> dict[str, Any]:
    """The vault file as it was."""
    tenants = {"plain": {"key": {"file": "plain"}}, "mounted": {"key": {"file": "mounted/key"}}}
    return {"tenants": {**VAULT["tenants"], **tenants}}


def for_tenant(operated: Operated, tenant: str) -> str:
    """The key that goes up for that tenant."""
    return operated.key_sent(TOK_C, f"X-Invopop-Tenant: {tenant}")


def renamed(path: Path) -> None:
    """A new file takes the old one's place."""
    path.with_suffix(".new").write_text(KEY_B)
    path.with_suffix(".new").replace(path)


def rewritten(path: Path) -> None:
    """Truncated and written in place: all that a bind-mounted single file can show."""
    path.write_text(KEY_A)


def swapped(path: Path) -> None:
    """As Kubernetes does it."""
    (path.parent / "..v2" / "key").write_text(KEY_B)
    (path.parent / "..data_tmp").symlink_to("..v2")
    (path.parent / "..data_tmp").replace(path.parent / "..data")


@pytest.mark.parametrize(
    ("tenant", "file", "change", "key"),
    [
        ("plain", "plain", renamed, KEY_B),
        ("plain", "plain", rewritten, KEY_A),
        ("mounted", "mounted/key", swapped, KEY_B),
    ],
)
def test_a_key_file_changes(
    operated: Operated, tenant: str, file: str, change: Callable[[Path], None], key: str
) -> None:
    """By rename, in place, by a `..data` swap: the new key is sent, without any signal."""
    change(operated.directory / file)
    eventually(lambda: for_tenant(operated, tenant) == key, WITHIN)


def test_the_configuration_changes(operated: Operated) -> None:
    """So does either file of the configuration, without any signal; metrics say so."""
    before = operated.reloads("success")
    vault = restored()
    vault["tenants"]["acme"] = {"key": {"value": KEY_B}}
    replace(operated.directory / "vault.toml", vault)
    eventually(lambda: operated.key_sent() == KEY_B, WITHIN)
    operated.configure({"callers": {"billing": {"deny": ["*"]}}})
    eventually(lambda: operated.key_sent() == "operation_denied", WITHIN)
    assert operated.reloads("success") == before + 2
    assert operated.gateway.metric("config_last_reload_successful") == 1


def test_a_removed_tenant(operated: Operated) -> None:
    """Case 167: it is answered as one that never was."""
    vault = restored()
    del vault["tenants"]["acme"]
    replace(operated.directory / "vault.toml", vault)
    operated.reload()
    assert operated.key_sent() == "tenant_denied"
    assert operated.key_sent(TOK_B) == KEY_B


def test_a_removed_caller(operated: Operated) -> None:
    """Its token is unknown, and a JWT that was verified a moment ago is believed no more."""
    jwt = operated.token_of(ISSUER, "billing")
    assert operated.key_sent(jwt) == operated.key_sent() == KEY_A
    operated.configure({}, "billing")
    operated.reload()
    assert operated.key_sent() == "unauthenticated"
    assert operated.key_sent(jwt) == "caller_unknown"


def test_a_removed_token(operated: Operated) -> None:
    """A token that is no longer listed is wrong at once; the caller's other one works."""
    other = "igw_sentinel-token-of-billing-another-one-1"
    operated.configure({"callers": {"billing": {"tokens": [token_hash(other)]}}})
    operated.reload()
    assert operated.key_sent() == "unauthenticated"
    assert operated.key_sent(other) == KEY_A


def test_a_removed_issuer(operated: Operated) -> None:
    """A cached verdict on a token ends with its issuer's entry for the caller."""
    jwt = operated.token_of(ISSUER, "billing")
    assert operated.key_sent(jwt) == KEY_A
    operated.configure({"callers": {"billing": {"issuers": []}}})
    operated.reload()
    assert operated.key_sent(jwt) == "caller_unknown"


def test_a_vanished_vault_file_changes_nothing(operated: Operated) -> None:
    """Case 165: neither does a file that is gone, or may not be read."""
    (operated.directory / "vault.toml").unlink()
    operated.reload("failure")
    assert operated.key_sent() == KEY_A
    status, body = operated.gateway.admin("/readyz")
    assert (status, json.loads(body)["status"]) == (200, "degraded")
    assert json.loads(body)["checks"]["configuration"]["status"] == "degraded"


def test_a_store_that_cannot_be_used_changes_nothing(operated: Operated) -> None:
    """AWS without a region is a mistake in the configuration, found once its library is asked."""
    replace(operated.directory / "vault.toml", {"tenants": {"new": {"key": {"aws": "new"}}}})
    operated.reload("failure")
    assert operated.key_sent() == KEY_A


def test_a_key_that_breaks_harms_nobody(operated: Operated) -> None:
    """Case 165: an empty key file leaves that tenant its last good key; the reload succeeds."""
    before = for_tenant(operated, "plain")
    failed = operated.gateway.metric("key_refresh_total", outcome="failure")
    (operated.directory / "plain").write_text("")
    operated.reload()
    assert for_tenant(operated, "plain") == before
    assert operated.gateway.metric("key_refresh_total", outcome="failure") > failed
    (operated.directory / "plain").unlink()
    operated.reload(times=2)
    assert for_tenant(operated, "plain") == before
    (operated.directory / "plain").write_text(before)


def test_a_rotated_key_is_not_held_up_by_a_broken_file(operated: Operated) -> None:
    """While the configuration is refused, key files of the version in use are still followed."""
    rotated = KEY_B if for_tenant(operated, "plain") == KEY_A else KEY_A
    (operated.directory / "gateway.toml").write_text("[nonsense]")
    (operated.directory / "plain").write_text(rotated)
    operated.reload("failure", times=2)
    assert for_tenant(operated, "plain") == rotated


def test_an_empty_vault_is_lawful(operated: Operated) -> None:
    """`[tenants]` with nothing in it: everyone is denied, and the log warns."""
    path = operated.directory / "vault.new"
    path.write_text("[tenants]\n")
    path.replace(operated.directory / "vault.toml")
    operated.reload()
    assert operated.key_sent() == operated.key_sent(TOK_B) == "tenant_denied"
    warned = operated.gateway.events
    eventually(lambda: "the vault is empty" in str(warned("configuration_warning")))


def test_a_requests_version_is_its_own(operated: Operated) -> None:
    """A reply under way goes on to its end although its tenant and caller are gone."""
    with operated.origin.holding(HELD, REST) as held:
        connection = operated.connect()
        connection.send(request("GET /slow"))
        connection.until(b"one")
        vault = restored()
        del vault["tenants"]["acme"]
        replace(operated.directory / "vault.toml", vault)
        operated.configure({}, "billing")
        operated.reload()
        held.release()
        reply = connection.reply()
    assert (reply.status, reply.body, reply.complete) == (200, b"onetwo", True)
    assert operated.key_sent() == "unauthenticated"


def test_what_needs_sockets_needs_a_restart(operated: Operated) -> None:
    """Another port is not taken up: told as `restart_required`, all else of the version is."""
    operated.configure(
        {"listen": {"port": 1}, "callers": {"billing": {"deny": ["access.workspace.*"]}}}
    )
    operated.reload()
    reply = operated.get("/access/v1/workspace")
    assert reply.get("x-gateway-error") == "operation_denied"
    eventually(lambda: operated.told().get("restart_required") == ["listen.port"])


def test_a_storm_of_signals(operated: Operated) -> None:
    """Case 168: a hundred SIGHUP are a few reloads; requests are answered throughout."""
    before = operated.reloads("success")
    for _ in range(100):
        operated.gateway.signal(signal.SIGHUP)
        assert operated.key_sent() == KEY_A
    operated.reload()
    assert operated.reloads("success") - before < 50
