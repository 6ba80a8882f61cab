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


@pytest.mark.parametrize(
    "line",
    [
        "Origin: https://evil",
        "Origin: null",
        "Origin:",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: none",
    ],
)
def test_web_pages_are_refused(sidecar: World, line: str) -> None:
    """A page in a browser on this machine may not use what only the address grants."""
    reply = sidecar.get("/x", line, token=None)
    assert (reply.status, reply.get("x-gateway-error")) == (403, "browser_refused")
    assert sidecar.get("/x", line, token=TOK_B).status == 200


def test_forwarded_address_opens_nothing(world: World) -> None:
    """Case 41: an address that a header claims is not the peer's."""
    for line in ("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1"):
        assert world.get("/x", line, token=None).status == 401


def test_forwarded_address_closes_nothing(sidecar: World) -> None:
    """Nor does it hide the real one."""
    assert sidecar.get("/x", "X-Forwarded-For: 6.6.6.6", token=None).status == 200


def test_other_loopback_address(sidecar: World) -> None:
    """The whole network is meant, and the tenant rules hold as for anyone."""
    reply = sidecar.get("/x", "X-Invopop-Tenant: globex", token=None)
    assert (reply.status, reply.get("x-gateway-error")) == (403, "tenant_denied")
