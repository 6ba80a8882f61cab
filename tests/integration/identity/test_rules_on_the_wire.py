"""Presets, globs, patterns and near misses: what `explain` says is what the wire does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import build
from tests.support.gateway import run, token_hash
from tests.support.world import ENVIRON, KEY_A, World, request

RULES: dict[str, dict[str, Any]] = {
    "reader": {"allow": ["@read_only"]},
    "invoicer": {"allow": ["@invoicing"]},
    "reporter": {"allow": ["@reporting"]},
    "no-reading": {"allow": ["*"], "deny": ["@read_only"]},
    "globs": {"allow": ["transform.*.list", "silo.entries.*", "GET /silo/v1/files/*/x"]},
    "paths": {"allow": ["GET /silo/**", "* /transform/v1/jobs", "POST /sequence/*/entries/**"]},
    "denied": {"deny": ["silo.entries.*", "GET /secret/**", "* /**/raw"]},
    "observed": {"allow": ["auth.version"], "deny": ["access.*"], "enforce": False},
}
ID = "347c5b04-cde2-11ed-afa1-0242ac120002"
TOKENS = {name: f"igw_sentinel-token-of-{name}-0000000000000" for name in RULES}

CASES: dict[str, dict[str, int]] = {
    "reader": {
        "GET /silo/v1/entries": 200, f"HEAD /silo/v1/entries/{ID}": 200, "GET /utils/v1/ping": 200,
        "POST /silo/v1/entries": 403, f"DELETE /transform/v1/jobs/{ID}": 403, "GET /unknown": 403,
        "GET /Silo/v1/entries": 403, "GET /silo/v1/entries/": 200, "GET /silo/v2/entries": 403,
        "GET /%73ilo/v1/entries": 200, "GET /silo%2Fv1/entries": 403, "GET /silo/v1/entrie": 403,
        "OPTIONS /silo/v1/entries": 403, "GET /silo/v1/entries/1": 403,
        "GET /access/v1/enrollment": 403, "GET /silo/v1/entries/query": 200,
    },
    "invoicer": {
        f"PUT /silo/v1/entries/{ID}": 200, "POST /silo/v1/entries": 200,
        f"PUT /transform/v1/jobs/{ID}": 200, "DELETE /access/v1/workspace": 403,
        "GET /access/v1/workspace": 200, "PATCH /access/v1/workspace": 403,
        "GET /access/v1/workspace%2Fx": 403,
    },
    "reporter": {
        "GET /silo/v1/entries": 200, "POST /silo/v1/entries": 403, "GET /auth/version": 200,
        f"PUT /transform/v1/jobs/{ID}": 403,
    },
    "no-reading": {
        "GET /silo/v1/entries": 403, "HEAD /silo/v1/entries": 403, "POST /silo/v1/entries": 200,
        "GET /SILO/V1/ENTRIES": 403, "GET /silo%2Fv1%2Fentries": 403,
    },
    "globs": {
        "GET /transform/v1/jobs": 200, f"GET /transform/v1/jobs/{ID}": 403,
        "GET /silo/v1/entries/key/a%2Fb": 200, "GET /silo/v1/entries/key/a%2fb%2Fc": 200,
        "GET /silo/v1/files/1/x": 200, "GET /silo/v1/files/1%2F2/x": 403,
        "GET /silo/v1/files/x": 403, "GET /silo/v1/files/1/2/x": 403,
        "GET /silo/v1/files/1/X": 403,
    },
    "paths": {
        "GET /silo": 200, "GET /silo/any/thing": 200, "GET /silos": 403, "POST /silo/v1": 403,
        "HEAD /silo/v1": 200, "DELETE /transform/v1/jobs": 200, f"GET /transform/v1/jobs/{ID}": 403,
        "POST /sequence/v9/entries": 200, "POST /sequence/v9/entries/a/b": 200,
        "POST /sequence/entries": 403, "POST /sequence/v9%2Fx/entries": 403,
        "GET /silo/a%2F..%2Fb": 400, "GET /x?y=/silo/": 403,
    },
    "denied": {
        "GET /silo/v1/entries": 403, f"GET /silo/v1/entries/{ID}/files/{ID}": 200,
        "GET /secret": 403, "GET /silo/v1/files/1": 403,
        "GET /SECRET/x": 403, "GET /secret%2Fx": 403, "GET /%53ecret/x": 403,
        "POST /secret": 403, "GET /a/b/raw": 403, "GET /raw/": 403, "GET /a%2Fraw": 403,
        "GET /rawer": 403, "GET /silo/v1/Entries": 403, "GET /silo/v1/search;x": 403,
        "GET /auth/version": 200, "PUT /silo/v1/spool/k": 403,
    },
    "observed": {
        "GET /auth/version": 200, f"DELETE /silo/v1/entries/{ID}": 200, "GET /access/v1/x": 403,
        "GET /Access/v1/workspace": 403,
    },
}  # fmt: skip
ROWS = [(caller, line) for caller, lines in CASES.items() for line in lines]


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose callers have these rules."""
    callers = {
        name: {"tokens": [token_hash(TOKENS[name])], "issuers": [], "tenants": ["acme"], **rules}
        for name, rules in RULES.items()
    }
    for name, rules in (("any", {}), ("picky", {"allow": ["auth.version"]})):
        tokens = [token_hash(f"igw_{name}")]
        callers[name] = {"tokens": tokens, "issuers": [], "tenants": ["*"], **rules}
    with World(tmp_path_factory.mktemp("ruled"), {"callers": callers}) as made:
        yield made
        made.take_series_baseline()
        made.check_invariants()


def explained(world: World, *arguments: str) -> tuple[int, str]:
    """`explain`, within this process: exit code and what it printed."""
    result = CliRunner(env=ENVIRON).invoke(
        build(), ["explain", "--config", str(world.gateway.config), *arguments]
    )
    return result.exit_code, result.output


@pytest.mark.parametrize(("caller", "line"), ROWS)
def test_explain_and_the_wire_agree(ruled: World, caller: str, line: str) -> None:
    """The same decision, the same rule by its key path, and nothing sent that is refused."""
    method, target = line.split(" ", 1)
    ruled.origin.start_over()
    raw = request(line, f"X-Request-Id: {ROWS.index((caller, line))}", token=TOKENS[caller])
    reply = ruled.exchange(raw, method)
    assert reply.status == CASES[caller][line]
    assert [seen.target for seen in ruled.origin.requests] == [target.encode()] * (
        reply.status == 200
    )
    code, told = explained(ruled, "--caller", caller, method, target)
    assert code == (0 if reply.status == 200 else 1), told
    if reply.status == 200:
        assert ruled.gateway.exchange(reply.get("x-request-id") or "")["rule"] in told
        assert f"sends      {method} https://{ruled.origin.authority}{target}\n" in told
    else:
        assert f"answer     {reply.status} {reply.get('x-gateway-error')}" in told


def test_rule_by_its_key_path(ruled: World) -> None:
    """The entry that decides is named, with its text and with the reading that it holds for."""
    for caller, line, told in (
        ("globs", "GET /silo/v1/files/1/x",
         'callers.globs.allow[2] "GET /silo/v1/files/*/x", path as sent'),
        ("globs", "POST /silo/v1/entries", 'callers.globs.allow[1] "silo.entries.*"'),
        ("globs", "GET /silo/v1/files/1%2F2/x", "callers.globs.allow: no entry covers it, path"),
        ("denied", "GET /a/b/raw", 'callers.denied.deny[2] "* /**/raw"'),
        ("denied", "GET /SECRET/x", 'callers.denied.deny[1] "GET /secret/**", path in another'),
        ("denied", "GET /secret%2Fx", 'path with %2F read as a slash'),
        ("observed", "GET /access/v1/x", 'callers.observed.deny[0] "access.*"'),
        ("observed", "GET /silo/v1/entries", "callers.observed.enforce = false: no entry"),
        ("denied", "GET /auth/version", "callers.denied: there is no `allow`, path as sent"),
        ("denied", "GET /rawer", "callers.denied.deny: an unknown operation is allowed only by"),
        ("globs", "GET /x", "note       an unknown operation is allowed only by a `METHOD /path`"),
        ("reader", "GET /access/v1/enrollment",
         "callers.reader.allow: its replies hold credentials, so only its exact name in `allow`"),
        ("denied", "GET /rawer", "operation  other (none that is known)"),
    ):  # fmt: skip
        assert told in explained(ruled, "--caller", caller, *line.split())[1], line


def test_key_and_presets(ruled: World) -> None:
    """Where the key comes from, its fingerprint, never itself; and what each preset allows."""
    code, told = explained(ruled, "--caller", "reader", "GET", "/silo/v1/entries")
    assert code == 0
    ruled.get("/silo/v1/entries", "X-Request-Id: for-key", token=TOKENS["reader"])
    fingerprint = ruled.gateway.exchange("for-key")["key"]
    assert len(fingerprint) == 12
    assert f"key        {fingerprint} (key, from env TEST_KEY_A)" in told
    assert KEY_A not in told
    assert 'callers.reader.allow[0] "@read_only"' in told
    (line,) = [one for one in told.splitlines() if one.startswith("preset")]
    assert "@read_only: every GET" in line
    assert "silo.entries.list, " in line
    assert "silo.entries.create" not in line
    assert (
        "note       allowed only because enforce = false"
        in (explained(ruled, "--caller", "observed", "DELETE", "/silo/v1/entries/1")[1])
    )


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--caller", "ghost", "GET", "/"), 1, "403 caller_unknown"),
        (("--caller", "any", "GET", "/"), 1, "403 tenant_required"),
        (("--caller", "any", "--tenant", "ghost", "GET", "/"), 1, "403 tenant_denied"),
        (("--caller", "reader", "--tenant", "globex", "GET", "/"), 1, "403 tenant_denied"),
        (("--caller", "any", "--tenant", "globex", "GET", "/"), 0, "tenant     globex"),
        (("--caller", "any", "--tenant", "acme", "TRACE", "/"), 1, "405 method_not_allowed"),
        (("--caller", "any", "--tenant", "acme", "GET", "/a/../b"), 1, "400 bad_request"),
        (("--caller", "any", "--tenant", "acme", "GET", "http://evil/"), 1, "421 misdirected"),
        (("--caller", "any", "--tenant", "acme", "GET", "/\udcff"), 1, "400 bad_request"),
        (("--caller", "any", "--tenant", "\udcff", "GET", "/"), 1, "403 tenant_denied"),
        (("--caller", "any", "GET"), 2, "'PATH'"),
        (("GET", "/"), 2, "--caller"),
    ],
)
def test_exit_codes(ruled: World, arguments: tuple[str, ...], code: int, told: str) -> None:
    """0 if it would be sent, 1 if it would be refused (with the answer), 2 for wrong usage."""
    found, printed = explained(ruled, *arguments)
    assert (found, told in printed) == (code, True), printed
    assert ("allowed    no" in printed) == (code == 1)


def test_the_tenant_comes_before_the_operation(ruled: World) -> None:
    """A tenant that does not exist is told before what policy would refuse, by both."""
    for tenant, key in (("ghost", "tenant_denied"), ("acme", "operation_denied")):
        raw = request("GET /x", f"X-Invopop-Tenant: {tenant}", token="igw_picky")
        assert ruled.exchange(raw).get("x-gateway-error") == key
        told = explained(ruled, "--caller", "picky", "--tenant", tenant, "GET", "/x")[1]
        assert f"answer     403 {key}" in told


def test_as_a_process(ruled: World, tmp_path: Path) -> None:
    """The command itself: nothing sent, no traceback, one block."""
    ruled.origin.start_over()
    arguments = ["--caller", "denied", "GET", "/secret"]
    command = ["explain", "--config", str(ruled.gateway.config), *arguments]
    # Without asyncio's own lines about what took long on a loaded machine.
    code, printed = run(command, {**ENVIRON, "PYTHONDEVMODE": ""})
    assert (code, printed.splitlines()[0]) == (1, "allowed    no")
    assert "callers.denied.deny[1]" in printed
    assert not ruled.origin.requests


def test_not_enforced(ruled: World) -> None:
    """`enforce = false` concerns `allow` alone: told and counted; deny, tenants, limits hold."""
    before = ruled.gateway.metric("would_deny_total", caller="observed")
    token = TOKENS["observed"]
    line = f"GET /silo/v1/entries/{ID}"
    assert ruled.exchange(request(line, "X-Request-Id: let-in", token=token)).status == 200
    record = ruled.gateway.exchange("let-in")
    assert (record["would_deny"], record["rule"]) == (True, "callers.observed.enforce")
    assert record["level"] == "warning"
    counted = ruled.gateway.metric(
        "would_deny_total", caller="observed", route="/silo/v1/entries/{id}"
    )
    assert counted == 1
    assert ruled.gateway.metric("would_deny_total", caller="observed") == before + 1
    for refused, key in (
        (request("GET /access/v1/workspace", token=token), "operation_denied"),
        (request(line, "X-Invopop-Tenant: globex", token=token), "tenant_denied"),
        (request("POST /x", "Content-Length: 99999999999", token=token), "body_too_large"),
    ):
        assert ruled.exchange(refused).get("x-gateway-error") == key
    assert ruled.gateway.metric("would_deny_total", caller="observed") == before + 1
