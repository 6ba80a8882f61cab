"""Logins to a real OpenBao: tokens, roles and service accounts, renewed and refused."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.vault.sources.openbao import OpenBaoSource
from gateway.vault.sources.source import SourceError
from tests.support.openbao import OpenBaoServer
from tests.support.openbao_sources import at, outcome, settings, source_for
from tests.support.token_reviews import TokenReviews, service_account_jwt


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
    await asyncio.sleep(2.4)  # longer than the first lease
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
