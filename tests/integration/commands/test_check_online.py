"""`check` and `check --online`: the real command, and the sandbox Invopop over real TLS."""

import asyncio
import contextlib
import json
import os
import pwd
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import RunningSandbox, running
from gateway.secret import Secret
from tests.support.gateway import run, write_toml

DAY = 86_400.0
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def invopop() -> AsyncIterator[RunningSandbox]:
    """A sandbox with the workspaces acme and globex."""
    async with running(Sandbox()) as served:
        yield served


async def check(
    directory: Path,
    invopop: RunningSandbox,
    tenants: dict[str, Any],
    *options: str,
    **more: Any,
) -> tuple[int, str]:
    """What the command says: its exit code and all its output, in which no key may be."""
    (directory / "ca.pem").write_bytes(invopop.ca_pem)
    upstream = {"url": invopop.url, "ca_file": "ca.pem", "ca_only": True, "max_retries": 0}
    config = write_toml(directory / "gateway.toml", {"upstream": upstream, **more})
    write_toml(directory / "vault.toml", {"tenants": tenants})
    arguments = ["check", "--config", str(config), *options]
    code, output = await asyncio.to_thread(run, arguments, {"PYTHONDEVMODE": ""})
    for entry in tenants.values():
        for slot in ("key", "previous"):
            assert entry.get(slot, {}).get("value", "\0") not in output
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


async def test_pins_on_sandbox_and_country(tmp_path: Path, invopop: RunningSandbox) -> None:
    """Each key is asked about once, also if tenants share it; what differs is said."""
    workspace = invopop.sandbox.workspaces["acme"]
    shared = key(invopop, "acme")
    tenants = {
        "abroad": {"key": key(invopop, "acme"), "country": "AQ"},
        "es": {"key": shared, "sandbox": workspace.sandbox, "country": workspace.country},
        "live": {"key": key(invopop, "acme"), "sandbox": not workspace.sandbox},
        "hotel-a": {"use": "es"},
        "hotel-*": {"use": "abroad"},
    }
    code, output = await check(tmp_path, invopop, tenants, "--online")
    assert code == 1, output
    errors = [line for line in output.splitlines() if line.startswith("error ")]
    found = workspace.country
    assert errors == [
        f"error tenants.abroad.key: the country of the key's workspace is {found}, pinned is AQ",
        "error tenants.live.key: the key's workspace is a sandbox, pinned is no sandbox",
    ]
    assert output.count(Secret(shared["value"]).fingerprint) == 1


async def test_an_invopop_that_is_away_fails_the_check(
    tmp_path: Path, invopop: RunningSandbox
) -> None:
    """A certificate that is not trusted: nothing was verified, so the exit is 1."""
    tenants = {"a": {"key": key(invopop, "acme")}}
    stranger = RunningSandbox(invopop.url, invopop.port, type(invopop.authority)(), invopop.sandbox)
    code, output = await check(tmp_path, stranger, tenants, "--online")
    assert code == 1
    assert "tenants.a.key" in output
    assert f"(tls: {urlsplit(invopop.url).netloc}: " in output


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


class Refusing:
    """Answers every request with one status, and counts them."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 %d .\r\nContent-Length: 0\r\n" % self.status)
            writer.write(b"Connection: close\r\n\r\n")
            await writer.drain()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def listening(server: Refusing) -> AsyncIterator[int]:
    """Its port on loopback."""
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as running_:
        yield int(running_.sockets[0].getsockname()[1])


def lines(output: str, word: str) -> list[str]:
    """The lines that begin with a word."""
    return [line for line in output.splitlines() if line.startswith(f"{word} ")]


async def test_everything_outside_is_tried(tmp_path: Path, invopop: RunningSandbox) -> None:
    """An issuer, a rate storage, a collector: each that fails is named, with how it failed."""
    issuer = {
        "issuer": "https://id.internal", "audience": "a", "algorithms": ["RS256"],
        "jwks_url": "https://127.0.0.1:9/keys",
    }  # fmt: skip
    collector = Refusing(403)
    async with listening(collector) as port:
        more = {
            "issuers": [issuer],
            "limits": {"storage": "redis://127.0.0.1:9/0"},
            "tracing": {
                "endpoint": f"http://127.0.0.1:{port}",
                "headers": {"x-token": {"value": "sk_of_the_collector"}},
            },
        }
        tenants = {"a": {"key": key(invopop, "acme")}}
        code, output = await check(tmp_path, invopop, tenants, "--online", **more)
    assert code == 1, output
    errors = lines(output, "error")
    assert [error.split(":")[0] for error in errors] == [
        "error issuer https", "error rate storage redis", "error collector http",
    ], output  # fmt: skip
    assert "127.0.0.1:9/0: ConnectionError: Connection refused" in errors[1]
    assert errors[2].endswith(": status 403")
    assert b"sk_of_the_collector" in collector.heads[0]
    assert "sk_of_the_collector" not in output


async def test_what_is_reached_is_said(tmp_path: Path, invopop: RunningSandbox) -> None:
    """A collector that takes a message; offline it is not even asked."""
    collector = Refusing(200)
    tenants = {"a": {"key": key(invopop, "acme")}}
    async with listening(collector) as port:
        tracing = {"endpoint": f"http://127.0.0.1:{port}"}
        code, output = await check(tmp_path, invopop, tenants, tracing=tracing)
        assert (code, collector.heads) == (0, [])
        code, output = await check(tmp_path, invopop, tenants, "--online", tracing=tracing)
    assert code == 0, output
    assert lines(output, "reached") == [f"reached collector http://127.0.0.1:{port}/v1/traces"]
    assert collector.heads[0].startswith(b"POST /v1/traces ")


async def test_a_store_that_is_away_is_named(tmp_path: Path, invopop: RunningSandbox) -> None:
    """Once as a store, and with each tenant whose key lies there."""
    tenants = {"a": {"key": {"openbao": "kv/a", "field": "f"}}, "b": {"key": key(invopop, "acme")}}
    vault = {"openbao": {"url": "https://127.0.0.1:9", "token": {"value": "t"}}}
    code, output = await check(tmp_path, invopop, tenants, "--online", "--json", vault=vault)
    found = json.loads(output[output.index("{") :])
    assert (code, found["ok"]) == (1, False)
    assert [error["key"] for error in found["errors"]] == ["tenants.a.key", "store openbao"]
    assert found["errors"][1]["found"].startswith("unavailable: ")
    (probe,) = found["probes"]
    assert (probe["kind"], probe["name"]) == ("store", "openbao")
    assert [tenant["problem"] == "" for tenant in found["tenants"]] == [False, True]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can judge by another's rights")
async def test_files_are_judged_by_the_service_s_rights(
    invopop: RunningSandbox,
) -> None:
    """Root sees what the service would meet: here a key file that is root's alone.

    Told with --as, or told by the owner of the vault file.
    """
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        directory.chmod(0o755)
        (directory / "acme.key").write_text(invopop.sandbox.mint_key("acme"))
        (directory / "acme.key").chmod(0o600)
        tenants = {"a": {"key": {"file": "acme.key"}}}
        assert (await check(directory, invopop, tenants))[0] == 0
        for name in ("gateway.toml", "vault.toml", "ca.pem"):
            (directory / name).chmod(0o644)
        command = ["check", "--config", str(directory / "gateway.toml")]
        code, output = await asyncio.to_thread(run, [*command, "--as", "nobody"])
        assert code == 1, output
        assert "tenants.a.key" in output
        os.chown(directory / "vault.toml", pwd.getpwnam("nobody").pw_uid, 0)
        code, output = await asyncio.to_thread(run, command)
        assert (code, "tenants.a.key" in output) == (1, True), output
        os.chown(directory / "acme.key", pwd.getpwnam("nobody").pw_uid, 0)
        code, output = await asyncio.to_thread(run, command)
        assert code == 0, output
        assert "note files are judged by the rights of nobody" in output
        assert (await asyncio.to_thread(run, [*command, "--as", "65534:65534"]))[0] == 0
