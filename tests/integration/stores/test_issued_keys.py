"""Keys that Invopop issues to an application: the program and its commands.

They live six seconds here, so that a test sees renewals.
"""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from tests.support.caller import Connection, Reply
from tests.support.certificates import Authority, server_context
from tests.support.gateway import GatewayProcess, eventually, run, token_hash
from tests.support.issuing_origin import AUTHORIZE, CLIENT_ID, OTHER, OWNER, SECRET, Issuer
from tests.support.origin import Origin
from tests.support.world import request

ANY = "igw_sentinel-token-of-any-tenant-000000000"
ONE = "igw_sentinel-token-of-one-tenant-000000000"
NOBODY = "00000000-0000-4000-8000-000000000000"
LIFE = 6.0


class World:
    """A gateway, and the Invopop that issues its keys. `secret` is a file."""

    def __init__(self, directory: Path, stack: ExitStack, owners: tuple[str, ...]) -> None:
        authority = Authority(directory)
        self.issuer = Issuer(*owners)
        self.issuer.life = LIFE
        context = server_context(authority.certificate("localhost"))
        self.origin = stack.enter_context(Origin(self.issuer.script, context))
        self.secret = directory / "secret"
        self.write(SECRET)
        file = {"file": "secret"}
        callers = {
            "any": {"tokens": [token_hash(ANY)], "tenants": ["*"]},
            "one": {"tokens": [token_hash(ONE)], "tenants": ["initech"]},
        }
        self.settings: dict[str, Any] = {
            "listen": {"port": 0},
            "admin": {"port": 0},
            "upstream": {"url": self.origin.url, "ca_file": authority.ca_file, "ca_only": True},
            "vault": {"invopop": {"client_id": CLIENT_ID, "client_secret": file}},
            "callers": callers,
            "log": {"level": "debug"},
        }
        vault = {
            "tenants": {"initech": {"key": {"invopop": OWNER.upper()}}},
            "discover": {"key": {"invopop": "{tenant}"}},
        }
        self.gateway = GatewayProcess(directory, self.settings, vault)

    def write(self, secret: str) -> None:
        """Replaces the application's secret."""
        new = self.secret.with_suffix(".new")
        new.write_text(secret + "\n")
        new.chmod(0o600)
        new.replace(self.secret)

    def ask(self, tenant: str = "initech", token: str = ANY) -> tuple[Reply, bytes]:
        """A request, and every byte of its reply but the time."""
        connection = Connection("127.0.0.1", self.gateway.port)
        fields = (f"X-Invopop-Tenant: {tenant}", "X-Request-Id: asked")
        connection.send(request("GET /silo/v1/entries", *fields, token=token))
        reply = connection.reply(timeout=10)
        connection.close()
        return reply, re.sub(rb"(?m)^date: .*\r\n", b"", bytes(connection.received))

    def told(self) -> str:
        """All that anybody can read of it."""
        pages = b"".join(self.gateway.admin(path)[1] for path in ("/metrics", "/status", "/"))
        return "\n".join([*self.gateway.lines(), pages.decode()])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both run; nothing that anybody can read holds a key or the secret."""
    with ExitStack() as stack:
        made = World(tmp_path_factory.mktemp("issued"), stack, (OWNER, OTHER))
        stack.enter_context(made.gateway)
        yield made
        assert [line for line in made.told().splitlines() if "sentinel" in line] == []


def test_commands(world: World) -> None:
    """Only `check --online` has keys issued; without it and for `explain` they are issued later."""
    config = str(world.gateway.config)
    idle = [call for call in world.issuer.asked if call["owner_id"] != OWNER]
    code, text = run(["check", "--config", config])
    assert (code, "on_demand" in text, "unavailable" in text) == (0, True, False), text
    for tenant, owner in (("initech", OWNER), (OTHER, OTHER)):
        arguments = ["--caller", "any", "--tenant", tenant, "GET", "/silo/v1/entries"]
        code, text = run(["explain", "--config", config, *arguments])
        assert code == 0
        assert f"one that Invopop issues when it is needed (invopop {owner})" in text
    assert [call for call in world.issuer.asked if call["owner_id"] != OWNER] == idle
    code, text = run(["check", "--online", "--json", "--config", config])
    shown = json.loads(text)
    assert (code, shown["ok"]) == (0, True), text
    assert shown["tenants"][0]["workspace_found"] == OWNER
    assert shown["probes"] == [{"kind": "application", "name": "invopop", "problem": ""}]
    assert SECRET not in text


def test_issued_renewed_and_kept(world: World) -> None:
    """No request fails for longer than a key's life, though Invopop issues none for a while; each
    goes out with a key that has not ended."""
    stop = threading.Event()
    statuses: dict[str, set[int]] = {"initech": set(), OTHER: set()}

    def keep_asking(tenant: str) -> None:
        while not stop.is_set():
            statuses[tenant].add(world.ask(tenant)[0].status)

    threads = [threading.Thread(target=keep_asking, args=(tenant,)) for tenant in statuses]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(world.issuer.issued.get(OTHER, ())) >= 3, 20)
        world.issuer.answer = (503, b"")
        away = len(world.issuer.asked)
        eventually(lambda: len(world.issuer.asked) >= away + 2, 10)
        world.issuer.answer = None
        back = {owner: len(world.issuer.issued[owner]) for owner in (OWNER, OTHER)}
        for owner, count in back.items():  # each after a wait of its own
            eventually(lambda: len(world.issuer.issued[owner]) > count, 20)  # noqa: B023
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert list(statuses.values()) == [{200}, {200}]
    (call, *_) = (r for r in world.origin.requests if r.target == AUTHORIZE)
    assert call.values(b"user-agent") == [f"invopop-gateway/{__version__}".encode()]
    assert call.values(b"authorization") == []
    metric = world.gateway.metric
    assert metric("key_refresh_total", source="invopop", outcome="success") >= 6
    assert metric("key_refresh_total", source="invopop", outcome="failure") >= 2
    ends = metric("key_expiry_timestamp_seconds", tenant="initech", slot="key")
    assert 0 < ends - time.time() <= LIFE
    assert metric("key_issued", tenant="initech", slot="key") == 1

    def tenants() -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(world.gateway.admin("/status")[1])["tenants"]
        return shown

    eventually(lambda: tenants()["troubled"] == 0, 20)  # what was issued is in use
    assert (tenants()["total"], tenants()["ending"]) == (2, 0)
    row = next(row for row in tenants()["keys"] if row["tenant"] == "initech")
    assert (row["state"], row["source"]) == ("ok", f"invopop {OWNER}")


def test_a_revoked_key_is_replaced_within_the_request(world: World) -> None:
    """Invopop's 401 never reaches the caller, and costs one more call."""
    assert world.ask()[0].status == 200
    calls = len(world.issuer.asked)
    world.issuer.revoke()
    reply, _ = world.ask()
    assert (reply.status, reply.get("x-gateway-attempts")) == (200, "2")
    assert len(world.issuer.asked) == calls + 1


def test_not_enrolled(world: World) -> None:
    """Byte for byte what a caller gets for a tenant that it may not use; asked for once."""
    _, forbidden = world.ask("globex", ONE)
    assert b"tenant_denied" in forbidden
    assert [world.ask(NOBODY)[1] for _ in range(3)] == [forbidden] * 3
    assert world.ask(OTHER.upper())[1] == forbidden
    asked = [call["owner_id"] for call in world.issuer.asked]
    assert asked.count(NOBODY) == 1
    assert OTHER.upper() not in asked


def test_a_wrong_secret_is_one_clear_problem(world: World) -> None:
    """The log, the status page and `check` name it; keys in use go on, and few calls are made. The
    right one, in the same file, is in use within seconds."""
    assert world.ask()[0].status == 200
    world.issuer.secret = "sentinel-client-secret-000000000000000002"
    refused = "Invopop refuses the application's credentials (401)"
    eventually(lambda: refused in world.told(), 10)
    assert world.ask()[0].status == 200  # its key has not ended
    for number in range(1, 31):
        reply, _ = world.ask(f"{number:08}-0000-4000-8000-000000000000")
        assert (reply.status, reply.get("x-gateway-error")) == (503, "key_unavailable")
    assert len(world.issuer.asked) < 20
    assert world.gateway.metric("key_rejected_total") == 0
    ready = json.loads(world.gateway.admin("/readyz")[1])
    assert "invopop denied" in json.dumps(ready)
    config = str(world.gateway.config)
    code, text = run(["check", "--online", "--config", config])
    assert (code, refused in text) == (1, True), text
    world.write(world.issuer.secret)
    eventually(lambda: world.ask(OTHER)[0].status == 200, 10)
    assert run(["check", "--online", "--config", config])[0] == 0


def test_a_secret_that_is_not_there(world: World) -> None:
    """Is named by `check` with its place, and refuses a start or a reload, as other secrets do."""
    world.secret.unlink()
    code, text = run(["check", "--config", str(world.gateway.config)])
    assert code == 1
    assert "vault.invopop.client_secret" in text
    eventually(lambda: world.gateway.metric("config_reloads_total", outcome="failure") == 1)
    assert world.ask()[0].status == 200
