"""Callers known by their address alone: a sidecar's peers, never a web page, never a stranger."""

from collections.abc import Iterator

import pytest

from tests.support.world import KEY_A, KEY_B, TOK_B, World, request

SIDECAR = {"callers": {"local": {"networks": ["127.0.0.0/8"], "issuers": [], "tenants": ["acme"]}}}


@pytest.fixture(scope="module")
def _sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("sidecar"), SIDECAR) as made:
        yield made


@pytest.fixture
def sidecar(_sidecar: World) -> Iterator[World]:
    """A gateway that knows whoever comes from its own machine."""
    yield _sidecar
    _sidecar.check_invariants()


def test_no_credential_needed(sidecar: World) -> None:
    """The peer's address is the identity."""
    _, seen = sidecar.passed(request("GET /x", "X-Request-Id: by-address", token=None))
    assert seen.all("authorization") == [f"Bearer {KEY_A}"]
    record = sidecar.gateway.exchange("by-address")
    assert (record["caller"], record["by"]) == ("local", "network")


def test_credential_comes_first(sidecar: World) -> None:
    """A token that is shown says who calls, from whatever address."""
    _, seen = sidecar.passed(request("GET /x", token=TOK_B))
    assert seen.all("authorization") == [f"Bearer {KEY_B}"]


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer wrong",
        "Authorization:",
        "Proxy-Authorization: Basic x",
        "Authorization: Digest x",
    ],
)
def test_wrong_credential_does_not_fall_through(sidecar: World, line: str) -> None:
    """Shown and wrong is 401, though the address alone would do."""
    assert sidecar.get("/x", line, token=None).status == 401
    assert not sidecar.origin.requests


def test_other_loopback_address(sidecar: World) -> None:
    """The whole network is meant, and the tenant rules hold as for anyone."""
    reply = sidecar.get("/x", "X-Invopop-Tenant: globex", token=None)
    assert (reply.status, reply.get("x-gateway-error")) == (403, "tenant_denied")
