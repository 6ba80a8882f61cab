"""A vault over a real OpenBao: rotation, discovery, and a server that dies."""

import asyncio
import time

import pytest

from gateway.errors import CallerError, GatewayFault
from gateway.vault.key_ring import KeyNeeded
from gateway.vault.vault import Vault
from tests.support.openbao import ROOT, OpenBaoServer
from tests.support.openbao_sources import fill, settings
from tests.support.vaults import loaded, running, vault_file, vault_of


def sent(vault: Vault, tenant: str) -> str:
    """What a request would be sent with, or the key of the error that answers it."""
    try:
        return vault.key(tenant).secret.reveal()
    except KeyNeeded:
        return "needed"
    except (CallerError, GatewayFault) as error:
        return error.key


async def until(vault: Vault, tenant: str, expected: str) -> None:
    """Waits for the background to get there."""
    async with asyncio.timeout(8):
        while sent(vault, tenant) != expected:
            await asyncio.sleep(0.02)


async def test_rotation_in_the_store_is_taken_up_by_itself(server: OpenBaoServer) -> None:
    """A key that changes in the store is used after the next refresh; after a 401 at once."""
    server.write("invopop/rotating", api_key="key-1")
    file = vault_file({"t": {"key": {"openbao": "secret/invopop/rotating", "field": "api_key"}}})
    vault = await loaded(vault_of(file, settings(server, refresh=0.3), {"T": ROOT}))
    async with running(vault):
        await until(vault, "t", "key-1")
        server.write("invopop/rotating", api_key="key-2")
        await until(vault, "t", "key-2")
    vault = await loaded(vault_of(file, settings(server), {"T": ROOT}))
    async with running(vault):
        await until(vault, "t", "key-2")
        server.write("invopop/rotating", api_key="key-3")
        other = await vault.rejections.other_key(vault.key("t"))
        assert other is not None
        assert other.secret.reveal() == "key-3"


async def test_a_server_that_dies_and_comes_back() -> None:
    """Requests go on with the last good key, then 503 after the grace, then all is well again."""
    with OpenBaoServer() as server:
        fill(server)
        file = vault_file({"t": {"key": {"openbao": "secret/invopop/acme", "field": "api_key"}}})
        table = settings(server, refresh=0.2, stale_grace=1.0)
        vault = await loaded(vault_of(file, table, {"T": ROOT}))
        async with running(vault):
            await until(vault, "t", "key-acme")
            server.stop()
            died = time.monotonic()
            while not vault.failing():
                assert sent(vault, "t") == "key-acme"
                await asyncio.sleep(0.02)
            assert sent(vault, "t") == "key-acme"
            await until(vault, "t", "key_unavailable")
            assert time.monotonic() - died > 0.7
            server.start()
            fill(server)
            server.write("invopop/acme", api_key="key-anew")
            await until(vault, "t", "key-anew")


async def test_discovery_in_the_store(server: OpenBaoServer) -> None:
    """An unlisted tenant is found on first use; one that is not in the store is denied."""
    server.write("invopop/found", api_key="key-found")
    template = {"openbao": "secret/invopop/{tenant}", "field": "api_key"}
    vault = await loaded(vault_of(vault_file(discover={"key": template}), settings(server),
                                  {"T": ROOT}))  # fmt: skip
    async with running(vault):
        assert (await vault.read("found", "billing")).secret.reveal() == "key-found"
        with pytest.raises(CallerError) as caught:
            await vault.read("absent", "billing")
        assert caught.value.key == "tenant_denied"
