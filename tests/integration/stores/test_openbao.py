"""Keys in a real OpenBao: engines, policies, namespaces, and a server that hangs."""

from gateway.vault.sources.openbao import OpenBaoSource
from tests.support.openbao import OpenBaoServer
from tests.support.openbao_sources import at, outcome, settings, source_for


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
