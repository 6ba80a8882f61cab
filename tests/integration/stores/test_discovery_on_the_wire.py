"""Tenants that only a store knows, over the wire: found on first use, or answered as forbidden."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud_stores import CloudStore
from tests.support.edited_gateway import replace
from tests.support.gateway import token_hash
from tests.support.world import TOK_A, VAULT, World, merged, request, settings

ANY = "igw_sentinel-token-of-any-tenant-000000000"
KEY_OF_FOUND = "sentinel-key-of-found-0000000000000000cc"
PREFIX = "/v1/secret/data/invopop/"


class Store(CloudStore):
    """A key-value engine with one tenant in it."""

    def reply(self, path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        """Its key, or nothing."""
        if path == PREFIX + "found":
            return 200, {"data": {"data": {"api_key": KEY_OF_FOUND}}}, {}
        return (404, {"errors": []}, {}) if path.startswith(PREFIX) else (200, {"data": {}}, {})


@pytest.fixture
def discovering(tmp_path: Path) -> Iterator[World]:
    """A gateway whose vault file lists two tenants and leaves the rest to the store."""
    with Store() as store:
        openbao = {"url": f"http://127.0.0.1:{store.port}", "token": {"env": "BAO"}}
        changes = {
            "vault": {"openbao": openbao},
            "callers": {"any": {"tokens": [token_hash(ANY)], "issuers": [], "tenants": ["*"]}},
        }
        template = {"openbao": "secret/invopop/{tenant}", "field": "api_key"}
        vault = {**VAULT, "discover": {"key": template}}
        with World(tmp_path, changes, vault, {"BAO": "token"}) as world:
            yield world


def answer(world: World, tenant: str, token: str, line: str = "GET /x") -> bytes:
    """Every byte of it but the time."""
    connection = world.connect()
    raw = request(line, f"X-Invopop-Tenant: {tenant}", "X-Request-Id: asked", token=token)
    connection.send(raw)
    assert connection.reply().complete
    connection.close()
    return re.sub(rb"(?m)^date: .*\r\n", b"", bytes(connection.received))


def test_a_tenant_that_is_nowhere(discovering: World) -> None:
    """Answered as a forbidden one, byte for byte; its name is no label and in no exchange."""
    found = discovering.get("/x", "X-Invopop-Tenant: found", token=ANY)
    assert found.status == 200
    (seen,) = discovering.origin.requests
    assert seen.all("authorization") == [f"Bearer {KEY_OF_FOUND}"]
    assert discovering.gateway.metric("requests_total", tenant="found") == 1
    forbidden = answer(discovering, "globex", TOK_A)
    assert b"tenant_denied" in forbidden
    for _ in range(2):  # looked up, then remembered
        assert answer(discovering, "made-up", ANY) == forbidden
    assert len(discovering.origin.requests) == 1
    assert discovering.gateway.exchange("asked")["tenant"] == ""
    exposition = discovering.gateway.metrics_text()
    assert "made-up" not in exposition
    told = "\n".join([*discovering.gateway.lines(), exposition])
    assert KEY_OF_FOUND not in told


def test_a_caller_removed_while_the_store_is_read(tmp_path: Path) -> None:
    """Its request waited for the key: it is judged again, and nothing of it reaches Invopop."""
    asked, go = threading.Event(), threading.Event()

    class Slow(Store):
        """Answers when it is told to."""

        def reply(self, path: str, headers: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
            if path == PREFIX + "found":
                asked.set()
                go.wait(10)
            return super().reply(path, headers)

    with Slow() as store:
        openbao = {"url": f"http://127.0.0.1:{store.port}", "token": {"env": "BAO"}}
        template = {"openbao": "secret/invopop/{tenant}", "field": "api_key"}
        any_ = {"tokens": [token_hash(ANY)], "issuers": [], "tenants": ["*"]}
        changes = {"vault": {"openbao": openbao}, "callers": {"any": any_}}
        vault = {**VAULT, "discover": {"key": template}}
        with World(tmp_path, changes, vault, {"BAO": "token"}) as world:
            caller = world.connect()
            caller.send(request("GET /x", "X-Invopop-Tenant: found", token=ANY))
            assert asked.wait(10)
            without = settings(world.origin, world.authority.ca_file, world.issuer)
            replace(world.gateway.config, merged(without, {"vault": {"openbao": openbao}}))
            world.gateway.told("config_reload")
            go.set()
            reply = caller.reply("GET", timeout=15)
            assert (reply.status, reply.get("x-gateway-error")) == (401, "unauthenticated")
            assert world.origin.requests == []
