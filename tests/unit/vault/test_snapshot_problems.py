"""`preparation`: what is wrong with a vault file's sources is told where they are asked for."""

from typing import Any

import pytest

from gateway.errors import Problem
from gateway.settings.callers import Issuer
from gateway.vault.snapshot import RingsInUse, prepare
from gateway.vault.sources.source import Connections
from tests.support.vaults import vault_file, vault_settings

ISSUERS = (
    Issuer(issuer="a", audience="x", algorithms=("RS256",), jwks_url="https://a.internal/keys"),
    Issuer(issuer="b", audience="x", algorithms=("HS256",), secret={"openbao": "issuers/b"}),
)  # fmt: skip
BAO = {"openbao": "keys/acme", "field": "f"}


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ({"tenants": {"acme": {"key": BAO}}}, ("/vault.toml", "tenants.acme.key")),
        ({"discover": {"key": {**BAO, "openbao": "x/{tenant}"}}}, ("/vault.toml", "discover.key")),
        ({}, ("", "issuers[1].secret")),
    ],
)
async def test_a_store_that_is_not_configured(file: dict[str, Any], place: tuple[str, str]) -> None:
    """The first place that names it: a tenant, `[discover]`, or an issuer's secret."""
    connections = Connections(vault_settings().vault, {})
    snapshot = await prepare(vault_file(**file), connections, RingsInUse({}, {}), {}, ISSUERS)
    (problem,) = snapshot.problems
    assert problem == Problem(*place, problem.found, "a usable openbao source")
    assert "vault.openbao" in problem.found
    assert "openbao" not in snapshot.sources
