"""`check` and `check --online`: the real command, and the sandbox Invopop over real TLS."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import RunningSandbox, running
from tests.support.gateway import run, write_toml

DAY = 86_400.0
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def invopop() -> AsyncIterator[RunningSandbox]:
    """A sandbox with the workspaces acme and globex."""
    async with running(Sandbox()) as served:
        yield served


async def check(
    directory: Path, invopop: RunningSandbox, tenants: dict[str, Any], *options: str
) -> tuple[int, str]:
    """What the command says: its exit code and all its output, in which no key may be."""
    (directory / "ca.pem").write_bytes(invopop.ca_pem)
    upstream = {"url": invopop.url, "ca_file": "ca.pem", "ca_only": True, "max_retries": 0}
    config = write_toml(directory / "gateway.toml", {"upstream": upstream})
    write_toml(directory / "vault.toml", {"tenants": tenants})
    arguments = ["check", "--config", str(config), *options]
    code, output = await asyncio.to_thread(run, arguments, {"PYTHONDEVMODE": ""})
    for entry in tenants.values():
        for slot in ("key", "previous"):
            assert entry.get(slot, {}).get("value", "no key") not in output
    assert "Traceback" not in output
    return code, output


def key(invopop: RunningSandbox, workspace: str, lifetime: float = 90 * DAY) -> dict[str, str]:
    """A fresh key of a workspace."""
    return {"value": invopop.sandbox.mint_key(workspace, lifetime)}


async def test_all_is_well(tmp_path: Path, invopop: RunningSandbox) -> None:
    """Each slot's key is shown to Invopop; the table names the workspaces found; exit 0."""
    acme, globex = (invopop.sandbox.workspaces[name].id for name in ("acme", "globex"))
    tenants = {
        "a": {"key": key(invopop, "acme"), "previous": key(invopop, "acme"), "workspace": acme},
        "g": {"key": key(invopop, "globex")},
    }
    code, output = await check(tmp_path, invopop, tenants, "--online")
    assert code == 0, output
    rows = [line.split("│") for line in output.splitlines() if line.startswith("│")]
    found = [(row[1].strip(), row[2].strip(), row[-3].strip(), row[-2].strip()) for row in rows]
    assert found == [
        ("a", "key", acme, "ok"),
        ("a", "previous", acme, "ok"),
        ("g", "key", globex, "ok"),
    ]


async def test_every_wrong_key_is_told(tmp_path: Path, invopop: RunningSandbox) -> None:
    """Another workspace than the pinned one, a revoked key: each is named, and the exit is 1."""
    acme = invopop.sandbox.workspaces["acme"].id
    revoked = key(invopop, "acme")
    invopop.sandbox.revoke(revoked["value"])
    tenants = {
        "foreign": {"key": key(invopop, "globex"), "workspace": acme},
        "good": {"key": key(invopop, "acme"), "workspace": acme},
        "nobody": {"key": key(invopop, "acme"), "workspace": NOBODY},
        "revoked": {"key": key(invopop, "acme"), "previous": revoked},
    }
    code, output = await check(tmp_path, invopop, tenants, "--online")
    assert code == 1, output
    errors = [line for line in output.splitlines() if line.startswith("error ")]
    assert [error.split(":")[0] for error in errors] == [
        "error tenants.foreign.key",
        "error tenants.nobody.key",
        "error tenants.revoked.previous",
    ], output
    assert f"pinned is {acme}" in errors[0]
    assert "401" in errors[2]


async def test_an_invopop_that_is_away_fails_the_check(
    tmp_path: Path, invopop: RunningSandbox
) -> None:
    """A certificate that is not trusted: nothing was verified, so the exit is 1."""
    tenants = {"a": {"key": key(invopop, "acme")}}
    stranger = RunningSandbox(invopop.url, invopop.port, type(invopop.authority)(), invopop.sandbox)
    code, output = await check(tmp_path, stranger, tenants, "--online")
    assert code == 1
    assert "tenants.a.key" in output


async def test_a_key_that_cannot_be_had(tmp_path: Path, invopop: RunningSandbox) -> None:
    """Without a key there is nothing to ask with: a warning, and with --online an error."""
    settings = {"INVOPOP_GATEWAY__VAULT__STRICT": "false", "PYTHONDEVMODE": ""}
    tenants = {"a": {"key": {"file": "nowhere"}}}
    (tmp_path / "ca.pem").write_bytes(invopop.ca_pem)
    upstream = {"url": invopop.url, "ca_file": "ca.pem"}
    config = write_toml(tmp_path / "gateway.toml", {"upstream": upstream})
    write_toml(tmp_path / "vault.toml", {"tenants": tenants})
    code, output = await asyncio.to_thread(
        run, ["check", "--online", "--config", str(config)], settings
    )
    assert code == 1
    assert "tenants.a.key: no key to ask with: not_found" in output


async def test_expiry_is_shown_and_warned_of(tmp_path: Path, invopop: RunningSandbox) -> None:
    """A key that is a JWT shows its day; 14 days before there is a warning; it stops nothing."""
    tenants = {
        "late": {"key": key(invopop, "acme", 20 * DAY)},
        "soon": {"key": key(invopop, "acme", 13 * DAY), "workspace": NOBODY},
    }
    code, output = await check(tmp_path, invopop, tenants)
    assert code == 0, output
    for days in (20, 13):
        assert time.strftime("%Y-%m-%d", time.gmtime(time.time() + days * DAY)) in output
    warned = [line for line in output.splitlines() if "the key expires on" in line]
    assert [line.split(":")[0] for line in warned] == ["warning tenants.soon.key"]
