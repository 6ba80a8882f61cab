"""A store that refuses, stumbles, hangs or talks nonsense: each failure has one known outcome.

The real server hangs and denies in test_openbao, dies in test_openbao_vault; what it never says of
itself is said here by a server that speaks its protocol.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import CallerError, GatewayFault
from gateway.events import Event, KeyRefreshed
from gateway.vault.key_ring import KeyNeeded
from gateway.vault.vault import Vault
from tests.support.certificates import Authority, server_context
from tests.support.cloud_stores import CloudStore
from tests.support.vaults import loaded, replace, running, vault_file, vault_of, vault_settings

PREFIX = "/v1/secret/data/invopop/"
GOOD = {"data": {"data": {"api_key": "key-{tenant}"}}}
HANGING = 0.4  # seconds that the store may take
GRACE = 1.0
FAULTS: dict[str, tuple[int, Any, str]] = {
    "denied": (403, {"errors": ["permission denied"]}, "denied"),
    "throttled": (429, {"errors": ["rate limit quota exceeded"]}, "unavailable"),
    "broken": (500, {"errors": ["internal error"]}, "unavailable"),
    "sealed": (503, {"errors": ["Vault is sealed"]}, "unavailable"),
    "moved": (307, b"", "unavailable"),
    "html": (200, b"<html>sk_canary</html>", "malformed"),
    "torn": (200, b'{"data": {"data": {"api_k', "malformed"),
    "other-json": (200, {"data": "sk_canary"}, "malformed"),
    "no-data": (200, {}, "malformed"),
    "other-type": (200, {"data": {"data": {"api_key": 7}}}, "malformed"),
    "empty-key": (200, {"data": {"data": {"api_key": ""}}}, "malformed"),
    "line-break": (200, {"data": {"data": {"api_key": "sk_canary\r\nX: y"}}}, "malformed"),
    "hanging": (0, b"", "unavailable"),
    "gone": (404, {"errors": []}, "not_found"),
}


class Faulty(CloudStore):
    """A key-value engine in which each path named like a fault has that fault, once `ill`."""

    ill = False

    def reply(self, path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        """A tenant's key, or its fault."""
        tenant = path.removeprefix(PREFIX)
        if tenant in FAULTS and self.ill:
            status, document, _ = FAULTS[tenant]
            if status == 0:
                time.sleep(2 * HANGING)
            location = {"Location": "https://evil.test/"} if status == 307 else {}
            return status or 200, document, location
        if not path.startswith(PREFIX):
            return 200, {"data": {"ttl": 0}}, {}  # the token, looked up
        return 200, json.loads(json.dumps(GOOD).replace("{tenant}", tenant)), {}


@pytest.fixture
def store() -> Iterator[Faulty]:
    """The store, well."""
    with Faulty() as served:
        yield served


@pytest.fixture
async def watched(store: Faulty) -> AsyncIterator[tuple[Vault, list[Event]]]:
    """A vault with a tenant for each fault, listed and to be found, and a healthy one."""
    table = {"url": f"http://127.0.0.1:{store.port}", "token": {"env": "T"}, "timeout": HANGING}
    settings = vault_settings(openbao=table, refresh=0.3, stale_grace=GRACE, negative_ttl=0.1)
    names = (*FAULTS, "healthy")
    tenants = {name: {"key": bao(f"secret/invopop/{name}")} for name in names}
    events: list[Event] = []
    file = vault_file(tenants)
    vault = await loaded(vault_of(file, settings, {"T": "token"}, events))
    async with running(vault):
        yield vault, events
    assert "sk_canary" not in repr(events) + repr(vault.tenants())


def bao(reference: str) -> dict[str, str]:
    """One key in the store."""
    return {"openbao": reference, "field": "api_key"}


def sent(vault: Vault, tenant: str) -> str:
    """What a request is sent with, or the key of the error that answers it."""
    try:
        return vault.key(tenant).secret.reveal()
    except KeyNeeded:
        return "needed"
    except (CallerError, GatewayFault) as error:
        return error.key


async def until(vault: Vault, expected: dict[str, str]) -> None:
    """Waits until each tenant is answered so."""
    async with asyncio.timeout(10):
        while {name: sent(vault, name) for name in expected} != expected:
            await asyncio.sleep(0.02)


async def test_last_good_keys_outlive_any_failure_for_a_while(
    store: Faulty, watched: tuple[Vault, list[Event]]
) -> None:
    """Within the grace the last good key, then 503; once the store works, all is well by itself."""
    vault, events = watched
    good = {name: f"key-{name}" for name in (*FAULTS, "healthy")}
    await until(vault, good)
    events.clear()
    store.ill = True
    failed: set[str] = set()
    async with asyncio.timeout(5):
        while failed < FAULTS.keys():
            await asyncio.sleep(0.02)
            fresh = {e.tenant for e in events if isinstance(e, KeyRefreshed) and e.reason}
            # Up to the first failed read of it, and at it, no request noticed anything.
            assert all(sent(vault, name) == good[name] for name in fresh - failed)
            failed |= fresh
    assert {row.tenant: row.state for row in vault.tenants()} == {
        **{name: outcome for name, (_, _, outcome) in FAULTS.items()},
        "healthy": "ok",
    }
    ended = dict.fromkeys(FAULTS, "key_unavailable")
    async with asyncio.timeout(5):
        while any(sent(vault, name) == good[name] for name in FAULTS):
            assert sent(vault, "healthy") == "key-healthy"
            await asyncio.sleep(0.02)
    for name in ended:
        if sent(vault, name) == "needed":
            with pytest.raises(GatewayFault, match="key_unavailable"):
                await vault.read(name, "billing")
    store.ill = False
    await until(vault, good)


@pytest.mark.parametrize("fault", FAULTS)
async def test_looking_for_a_tenant(store: Faulty, fault: str) -> None:
    """The store's 404 is `tenant_denied`; whatever else goes wrong is `key_unavailable`, soon."""
    store.ill = True
    table = {"url": f"http://127.0.0.1:{store.port}", "token": {"env": "T"}, "timeout": HANGING}
    file = vault_file(discover={"key": bao("secret/invopop/{tenant}")})
    vault = await loaded(vault_of(file, vault_settings(openbao=table), {"T": "token"}))
    began = time.monotonic()
    with pytest.raises((CallerError, GatewayFault)) as caught:
        await vault.read(fault, "billing")
    assert time.monotonic() - began < 2.5
    assert isinstance(caught.value, CallerError | GatewayFault)
    expected = "tenant_denied" if fault == "gone" else "key_unavailable"
    assert (caught.value.key, sent(vault, fault)) == (expected, expected)
    await vault.aclose()


async def test_a_new_ca_is_taken_by_a_reload(tmp_path: Path) -> None:
    """The store is verified by what the CA file holds now, though no setting changed."""
    trusted, other = Authority(tmp_path, "trusted"), Authority(tmp_path, "other")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(other.ca_file.read_bytes())
    with Faulty(server_context(trusted.certificate("localhost"))) as store:
        url = f"https://localhost:{store.port}"
        table = {"url": url, "token": {"env": "T"}, "ca_file": ca_file}
        settings = vault_settings(openbao=table, negative_ttl=0.0)
        file = vault_file({"acme": {"key": bao("secret/invopop/acme")}})
        vault = await loaded(vault_of(file, settings, {"T": "token"}))
        with pytest.raises(GatewayFault, match="key_unavailable"):
            await vault.read("acme", "billing")
        ca_file.write_bytes(trusted.ca_file.read_bytes())
        assert await replace(vault, file, settings) == []
        assert (await vault.read("acme", "billing")).secret.reveal() == "key-acme"
        await vault.aclose()
