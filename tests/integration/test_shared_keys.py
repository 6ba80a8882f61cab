"""Tenants that share the key of another (`use`), each with its own grants, limits and records."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.support.caller import Reply
from tests.support.edited_gateway import replace
from tests.support.gateway import eventually, run, token_hash
from tests.support.world import KEY_A, TOK_A, VAULT, World

CHAIN = "igw_sentinel-token-of-hotel-chain-00000000"
ONE = "igw_sentinel-token-of-one-hotel-0000000000"
NAMED = "X-Invopop-Tenant"
SHARED: dict[str, Any] = {
    "tenants": {
        **VAULT["tenants"],
        "hotel-a": {"use": "acme"},
        "hotel-*": {"use": "acme"},
        "hotel-pt-*": {"use": "globex"},
    }
}
CALLERS = {
    "chain": {"tokens": [token_hash(CHAIN)], "issuers": [], "tenants": ["hotel-*", "globex"]},
    "one": {"tokens": [token_hash(ONE)], "issuers": [], "tenants": ["hotel-a"]},
}
BURST = 6


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for all; a tenant may send six requests at once, and one in 50 s."""
    limits = {"requests_per_second": 0.02, "burst": BURST}
    changes = {"callers": CALLERS, "limits": limits, "audit": {"file": "audit.log"}}
    with World(tmp_path_factory.mktemp("shared"), changes, SHARED) as made:
        yield made


@pytest.fixture
def world(gateway: World) -> World:
    """The same gateway; its origin has seen nothing yet."""
    gateway.origin.forget()
    return gateway


def ask(world: World, tenant: str, *lines: str, token: str = CHAIN) -> Reply:
    """A request on behalf of a tenant."""
    return world.get("/silo/v1/entries", f"{NAMED}: {tenant}", *lines, token=token)


def keys_sent(world: World) -> list[str]:
    """The keys that the origin was shown."""
    return [
        str(seen.get("authorization")).removeprefix("Bearer ") for seen in world.origin.requests
    ]


def test_each_has_the_key_that_the_best_name_or_glob_names(world: World) -> None:
    """Exact, then the longest glob; nothing of the tenant's name goes up."""
    tenants = ("hotel-a", "hotel-b", "hotel-pt-a")
    assert [ask(world, tenant).status for tenant in tenants] == [200, 200, 200]
    key_b = str(world.origin.requests[2].get("authorization")).removeprefix("Bearer ")
    assert keys_sent(world) == [KEY_A, KEY_A, key_b]
    assert key_b != KEY_A
    assert not any("hotel" in repr(seen.headers) for seen in world.origin.requests)


def test_metrics_log_and_audit_have_the_tenants_own_name(world: World) -> None:
    """With the fingerprint of the key that they share."""
    assert ask(world, "hotel-c", "X-Request-Id: of-hotel-c").status == 200
    assert world.gateway.exchange("of-hotel-c")["tenant"] == "hotel-c"
    assert world.gateway.metric("requests_total", tenant="hotel-c", caller="chain") == 1
    audit = (world.gateway.directory / "audit.log").read_text().splitlines()
    (line,) = (json.loads(line) for line in audit if "of-hotel-c" in line)
    assert (line["tenant"], line["caller"]) == ("hotel-c", "chain")


def test_each_has_its_own_limits(world: World) -> None:
    """One that is past its rate takes nothing from another, nor from the one whose key it has."""
    statuses = [ask(world, "hotel-d").status for _ in range(BURST + 1)]
    assert statuses == [200] * BURST + [429]
    assert ask(world, "hotel-e").status == 200
    assert world.get("/silo/v1/entries", token=TOK_A).status == 200


def test_a_caller_needs_a_grant_for_each(world: World) -> None:
    """What a glob of the vault covers, but no grant, is answered as a tenant that is unknown."""
    assert ask(world, "hotel-a", token=ONE).status == 200
    world.origin.forget()
    asked = [("hotel-b", ONE), ("acme", ONE), ("unknown", ONE), ("globex", ONE), ("motel", CHAIN)]
    replies = [ask(world, name, "X-Request-Id: same", token=token) for name, token in asked]
    assert {reply.status for reply in replies} == {403}
    heads = {str(sorted(h for h in reply.headers if h[0] != "date")) for reply in replies}
    assert (len(heads), len({reply.body for reply in replies})) == (1, 1)
    assert not world.origin.requests


def test_the_status_page_shows_whose_key_it_is(world: World) -> None:
    """Once it is used, with the key's fingerprint."""
    assert ask(world, "hotel-f").status == 200

    def rows() -> list[dict[str, Any]]:
        status = json.loads(world.gateway.admin("/status")[1])
        return [row for row in status["tenants"]["keys"] if row["tenant"] == "hotel-f"]

    (row,) = eventually(rows, 10)
    assert row["source"] == "use acme"


def test_explain_and_check_say_so(world: World) -> None:
    """`explain` names the key's tenant; `check` shows each key once, and who shares it."""
    config = ["--config", str(world.gateway.directory / "gateway.toml")]
    environ = {"TEST_KEY_A": KEY_A, "TEST_KEY_B": "k" * 32, "TEST_HS_SECRET": "s" * 40}
    code, said = run(
        ["explain", "--caller", "chain", "--tenant", "hotel-z", *config, "GET", "/silo/v1/entries"],
        environ,
    )
    assert code == 0, said
    assert "tenant     hotel-z" in said
    assert "from tenant acme: env TEST_KEY_A" in said
    code, said = run(["check", *config], environ)
    assert code == 0, said
    assert said.count("env TEST_KEY_A") == 1
    rows = [
        [cell.strip() for cell in line.split("│")[1:4]] for line in said.splitlines() if "│" in line
    ]
    assert ["hotel-a", "", "use acme"] in rows
    assert ["hotel-pt-*", "", "use globex"] in rows
    assert "hotel" not in "".join(line for line in said.splitlines() if "warning" in line)
    code, said = run(["check", *config], environ | {"TEST_KEY_B": KEY_A})
    assert "warning tenants.acme: acme and globex have the same key (fingerprint " in said
    code, said = run(["check", "--json", *config], environ)
    assert json.loads(said)["uses"] == {
        "hotel-a": "acme", "hotel-*": "acme", "hotel-pt-*": "globex",
    }  # fmt: skip


def test_a_removed_use_stops(tmp_path: Path) -> None:
    """With the reload that removes it; the key itself goes on.

    That two variables hold one key is in the log, and on the page, before and after.
    """
    with World(tmp_path, {"callers": CALLERS}, SHARED, {"TEST_KEY_B": KEY_A}) as world:
        assert ask(world, "hotel-a").status == 200
        fewer = deepcopy(SHARED)
        del fewer["tenants"]["hotel-a"], fewer["tenants"]["hotel-*"]
        replace(world.gateway.directory / "vault.toml", fewer)
        eventually(lambda: ask(world, "hotel-a").get("x-gateway-error") == "tenant_denied")
        assert ask(world, "hotel-b").status == 403
        assert ask(world, "hotel-pt-a").status == 200
        same = "tenants.acme: acme and globex have the same key (fingerprint "
        warned = world.gateway.told("configuration_warning", 2)
        assert [line["detail"].startswith(same) for line in warned] == [True, True]
        status = json.loads(world.gateway.admin("/status")[1])
        assert any(text.startswith(same) for text in status["configuration"]["warnings"])
        assert world.get("/silo/v1/entries", token=TOK_A).status == 200
