"""Keys in a real OpenBao: engines, logins, renewal, and a server that refuses, hangs or dies."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.errors import CallerError, GatewayFault
from gateway.settings.schema import Settings
from gateway.vault.fault import KeyNeeded
from gateway.vault.sources.openbao import OpenBaoSource
from gateway.vault.sources.source import Connections, SourceError
from gateway.vault.vault import Vault
from tests.support.openbao import ROOT, OpenBaoServer
from tests.support.token_reviews import TokenReviews, service_account_jwt
from tests.support.vaults import key_source, loaded, running, vault_file, vault_of, vault_settings


@pytest.fixture(scope="module")
def server() -> Iterator[OpenBaoServer]:
    """One server for the module, with a policy over `secret/invopop/`."""
    with OpenBaoServer() as started:
        fill(started)
        yield started


def fill(server: OpenBaoServer) -> None:
    """What the tests expect to find."""
    server.policy("invopop", "secret/data/invopop/*", "old/invopop/*")
    server.write("invopop/acme", api_key="key-acme")
    server.write("elsewhere/acme", api_key="key-elsewhere")


def settings(server: OpenBaoServer, **openbao: Any) -> Settings:
    """A `[vault]` table for that server; with the root token unless said otherwise."""
    login = {} if openbao.keys() & {"token", "approle", "kubernetes"} else {"token": {"env": "T"}}
    refresh = openbao.pop("refresh", 300.0)
    stale_grace = openbao.pop("stale_grace", 1800.0)
    table = {"url": server.url, "timeout": 1.0, **login, **openbao}
    return vault_settings(
        openbao=table, refresh=refresh, stale_grace=stale_grace, negative_ttl=0.05
    )


@pytest.fixture
async def sources(server: OpenBaoServer) -> AsyncIterator[list[OpenBaoSource]]:
    """Sources to be closed when the test ends."""
    opened: list[OpenBaoSource] = []
    yield opened
    for source in opened:
        await source.aclose()


def source_for(opened: list[OpenBaoSource], table: Settings, token: str = ROOT) -> OpenBaoSource:
    """A source as the vault would open it."""
    opened.append(OpenBaoSource(Connections(table.vault, {"T": token})))
    return opened[-1]


def at(reference: str, field: str = "api_key") -> Any:
    """One key in the server."""
    return key_source(openbao=reference, field=field)


async def outcome(source: OpenBaoSource, reference: str, field: str = "api_key") -> str:
    """The word for a read that fails."""
    with pytest.raises(SourceError) as caught:
        await source.read(at(reference, field))
    assert "key-" not in str(caught.value)
    return caught.value.outcome


async def test_a_member_of_a_version_2_secret(
    server: OpenBaoServer, sources: list[OpenBaoSource]
) -> None:
    """`secret/invopop/acme` with a field gives that member of the newest version."""
    source = source_for(sources, settings(server))
    server.write("invopop/versions", api_key="one")
    server.write("invopop/versions", api_key="two")
    assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-acme"
    assert (await source.read(at("secret/invopop/versions"))).reveal() == "two"


async def test_a_member_of_a_version_1_secret(
    server: OpenBaoServer, sources: list[OpenBaoSource]
) -> None:
    """With `kv_version = 1` the older engine is read."""
    server.call("POST", "sys/mounts/old", type="kv", options={"version": "1"})
    server.call("POST", "old/invopop/acme", api_key="key-old")
    source = source_for(sources, settings(server, kv_version=1))
    assert (await source.read(at("old/invopop/acme"))).reveal() == "key-old"
    assert await outcome(source, "old/invopop/none") == "not_found"


async def test_what_is_not_there(server: OpenBaoServer, sources: list[OpenBaoSource]) -> None:
    """A missing or deleted secret is not found; a missing member or mount is a mistake."""
    source = source_for(sources, settings(server))
    server.write("invopop/deleted", api_key="key-x")
    server.call("DELETE", "secret/data/invopop/deleted")
    server.write("invopop/number", api_key=7)
    assert await outcome(source, "secret/invopop/none") == "not_found"
    assert await outcome(source, "secret/invopop/deleted") == "not_found"
    assert await outcome(source, "secret/invopop/acme", "other") == "malformed"
    assert await outcome(source, "secret/invopop/number") == "malformed"
    assert await outcome(source, "nowhere/invopop/acme") == "unavailable"


async def test_policies_bind_the_gateway(
    server: OpenBaoServer, sources: list[OpenBaoSource]
) -> None:
    """A token reads what its policy allows; the rest is denied, not absent."""
    source = source_for(sources, settings(server), server.token("invopop"))
    assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-acme"
    assert await outcome(source, "secret/elsewhere/acme") == "denied"


@pytest.mark.parametrize("token", ["wrong", "s.AAAAAAAAAAAAAAAAAAAAAAAA"])
async def test_a_wrong_token_is_denied(
    server: OpenBaoServer, sources: list[OpenBaoSource], token: str
) -> None:
    """A token that the server does not know is denied."""
    source = source_for(sources, settings(server), token)
    assert await outcome(source, "secret/invopop/acme") == "denied"


async def test_a_rotated_token_file_is_taken_up(
    server: OpenBaoServer, sources: list[OpenBaoSource], tmp_path: Path
) -> None:
    """When an agent replaces the token in its file, the next refusal makes us read it again."""
    path = tmp_path / "token"
    path.write_text(server.token("invopop") + "\n")
    source = source_for(sources, settings(server, token={"file": path}))
    assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-acme"
    server.call("POST", "auth/token/revoke", token=path.read_text().strip())
    assert await outcome(source, "secret/invopop/acme") == "denied"
    path.write_text(server.token("invopop") + "\n")
    await eventually(source, "key-acme")


async def eventually(source: OpenBaoSource, key: str) -> None:
    """Reads until the key is there; a login is tried again after 2 s at the latest."""
    async with asyncio.timeout(6):
        while True:
            try:
                assert (await source.read(at("secret/invopop/acme"))).reveal() == key
            except SourceError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_short_token_is_renewed_while_nobody_reads(
    server: OpenBaoServer, sources: list[OpenBaoSource]
) -> None:
    """A renewable token outlives its first lease, also without any read in between."""
    token = server.token("invopop", ttl="2s", explicit_max_ttl="1h")
    source = source_for(sources, settings(server), token)
    await source.read(at("secret/invopop/acme"))
    await asyncio.sleep(2.4)
    assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-acme"


@pytest.fixture(scope="module")
def approle(server: OpenBaoServer) -> dict[str, Any]:
    """A role whose tokens live 1 s, and 2 s at most."""
    server.call("POST", "sys/auth/approle", type="approle")
    return make_role(server)


def make_role(server: OpenBaoServer) -> dict[str, Any]:
    """The role, and the table that logs in as it; `S` holds its secret."""
    server.call("POST", "auth/approle/role/gateway", token_policies=["invopop"], token_ttl="1s",
                token_max_ttl="2s")  # fmt: skip
    role_id = server.call("GET", "auth/approle/role/gateway/role-id")["data"]["role_id"]
    secret = server.call("POST", "auth/approle/role/gateway/secret-id")["data"]["secret_id"]
    return {"role_id": role_id, "secret_id": {"value": secret}}


async def test_approle_logs_in_again_when_its_token_has_ended(
    server: OpenBaoServer, sources: list[OpenBaoSource], approle: dict[str, Any]
) -> None:
    """Past the greatest age of a token a new login follows, unseen by readers."""
    source = source_for(sources, settings(server, approle=approle))
    deadline = time.monotonic() + 3.0
    while time.monotonic() < deadline:
        assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-acme"
        await asyncio.sleep(0.1)


async def test_a_revoked_token_is_replaced_at_once(
    server: OpenBaoServer, sources: list[OpenBaoSource], approle: dict[str, Any]
) -> None:
    """A token that the server no longer takes costs one more login, and no failed read."""
    source = source_for(sources, settings(server, approle=approle))
    await source.read(at("secret/invopop/acme"))
    source._token._since -= 10  # the login is a while ago
    server.call("PUT", "sys/leases/revoke-prefix/auth/approle/login")
    assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-acme"


async def test_a_wrong_approle_secret_is_denied(
    server: OpenBaoServer, sources: list[OpenBaoSource], approle: dict[str, Any]
) -> None:
    """A login that is refused is a denied read."""
    wrong = {**approle, "secret_id": {"value": "wrong"}}
    source = source_for(sources, settings(server, approle=wrong))
    assert await outcome(source, "secret/invopop/acme") == "denied"


@pytest.mark.parametrize("secret", ["right", "wrong"])
async def test_many_readers_cause_one_login(
    server: OpenBaoServer, sources: list[OpenBaoSource], approle: dict[str, Any], secret: str
) -> None:
    """All first reads share one login, and its refusal: a store that denies is not hammered."""
    given = approle if secret == "right" else {**approle, "secret_id": {"value": "wrong"}}
    source = source_for(sources, settings(server, approle=given))
    logins = 0
    obtain = source._token._obtain

    async def counted() -> Any:
        nonlocal logins
        logins += 1
        return await obtain()

    source._token._obtain = counted  # type: ignore[method-assign]
    reads = (source.read(at("secret/invopop/acme")) for _ in range(20))
    found = await asyncio.gather(*reads, return_exceptions=True)
    assert {isinstance(one, SourceError) for one in found} == {secret == "wrong"}
    assert logins == 1


async def test_kubernetes_login(
    server: OpenBaoServer, sources: list[OpenBaoSource], tmp_path: Path
) -> None:
    """The pod's service-account token logs in, as the cluster's token review confirms it."""
    with TokenReviews("system:serviceaccount:billing:gateway") as cluster:
        server.call("POST", "sys/auth/kubernetes", type="kubernetes")
        server.call("POST", "auth/kubernetes/config", kubernetes_host=cluster.url,
                    token_reviewer_jwt=service_account_jwt("vault", "reviewer"),
                    kubernetes_ca_cert=trustme.CA().cert_pem.bytes().decode(),
                    disable_local_ca_jwt=True)  # fmt: skip
        server.call("POST", "auth/kubernetes/role/gateway", token_policies=["invopop"],
                    bound_service_account_names=["gateway"],
                    bound_service_account_namespaces=["billing"])  # fmt: skip
        jwt_file = tmp_path / "token"
        jwt_file.write_text(service_account_jwt("billing", "gateway"))
        login = {"role": "gateway", "jwt_file": jwt_file}
        source = source_for(sources, settings(server, kubernetes=login))
        assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-acme"


async def test_a_namespace_is_named(server: OpenBaoServer, sources: list[OpenBaoSource]) -> None:
    """With `namespace` the secrets of that namespace are read, and no others."""
    server.call("POST", "sys/namespaces/team")
    headers = {"X-Vault-Namespace": "team"}
    server.root.post("v1/sys/mounts/secret", headers=headers,
                     json={"type": "kv", "options": {"version": "2"}})  # fmt: skip
    written = server.root.post("v1/secret/data/invopop/acme", headers=headers,
                               json={"data": {"api_key": "key-team"}})  # fmt: skip
    assert written.status_code == 200
    source = source_for(sources, settings(server, namespace="team"))
    assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-team"


async def test_a_server_that_hangs_is_unavailable(
    server: OpenBaoServer, sources: list[OpenBaoSource]
) -> None:
    """A frozen server costs a read its time-out, and is unavailable."""
    source = source_for(sources, settings(server, timeout=1.0))
    await source.read(at("secret/invopop/acme"))
    server.freeze()
    try:
        assert await outcome(source, "secret/invopop/acme") == "unavailable"
    finally:
        server.thaw()
    assert (await source.read(at("secret/invopop/acme"))).reveal() == "key-acme"


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
        other = await vault.rejected(vault.key("t"))
        assert other is not None
        assert other.secret.reveal() == "key-3"


async def test_a_server_that_dies_and_comes_back(approle: dict[str, Any]) -> None:
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
