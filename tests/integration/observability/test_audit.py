"""The audit log of the running program: complete, private, and if asked for, first."""

import json
import re
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from gateway.observe.audit import AuditEvent
from gateway.secret import Secret
from tests.support.gateway import eventually, run, write_toml
from tests.support.tls_server import Seen, Wire
from tests.support.world import (
    ENVIRON,
    KEY_A,
    KEY_B,
    SECRETS,
    TOK_A,
    TOK_S,
    TWO_KEYS,
    VAULT,
    World,
    fields,
    request,
    settings,
)

QUERY = "sentinel-value-of-a-query"
PRINT_A, PRINT_B = Secret(KEY_A).fingerprint, Secret(KEY_B).fingerprint
REFUSED = fields("401 Unauthorized", "Content-Length: 0")


class Audited(World):
    """A gateway with an audit log in `audit.jsonl`."""

    def __init__(self, directory: Path, **changes: Any) -> None:
        self.path = directory / "audit.jsonl"
        super().__init__(directory, {"audit": {"file": str(self.path), **changes}}, TWO_KEYS)

    def audit(self, path: Path | None = None) -> list[dict[str, Any]]:
        """Every line of the file so far; one that still has no end is no line yet."""
        lines = (path or self.path).read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines]

    def of(self, request_id: str) -> list[dict[str, Any]]:
        """The lines about one request, once the last of them is there."""
        ends = {"key_used", "request_refused", "request_left"}

        def found() -> list[dict[str, Any]]:
            lines = [line for line in self.audit() if line.get("request_id") == request_id]
            return lines if lines and lines[-1]["event"] in ends else []

        return eventually(found)

    def limit(self, size: int | None) -> None:
        """The disk is full once the file has grown to `size`; None: there is room again."""
        none = resource.RLIM_INFINITY
        limits = (none if size is None else size, none)
        resource.prlimit(self.gateway.process.pid, resource.RLIMIT_FSIZE, limits)

    def ready(self) -> dict[str, Any]:
        """What `/readyz` says."""
        status, body = self.gateway.admin("/readyz")
        assert status == 200
        report: dict[str, Any] = json.loads(body)
        return report


@pytest.fixture(scope="module")
def _audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    with Audited(tmp_path_factory.mktemp("audited")) as made:
        yield made


@pytest.fixture
def audited(_audited: Audited) -> Iterator[Audited]:
    """One in the default mode."""
    yield _audited
    _audited.check_invariants()


@pytest.fixture(scope="module")
def _witnessed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audited]:
    with Audited(tmp_path_factory.mktemp("witnessed"), write_before_forward=True) as made:
        yield made


@pytest.fixture
def witnessed(_witnessed: Audited) -> Iterator[Audited]:
    """One that writes before it forwards."""
    yield _witnessed
    _witnessed.check_invariants()


def test_who_used_which_key(audited: Audited) -> None:
    """One line a request: caller, tenant, fingerprint, operation, decision, rule, outcome."""
    target = f"POST /silo/v1/entries?q={QUERY}"
    audited.exchange(request(target, "X-Request-Id: used", "Content-Length: 0"), "POST")
    (line,) = audited.of("used")
    assert line["event"] == "key_used"
    assert (line["caller"], line["by"], line["tenant"]) == ("billing", "token", "acme")
    assert (line["key"], line["slot"], line["operation"]) == (PRINT_A, "key", "silo.entries.create")
    assert (line["decision"], line["status"], line["peer"]) == ("allow", 200, "127.0.0.1")
    assert line["rule"]


def test_refusals_are_on_record(audited: Audited) -> None:
    """Also those of nobody known, and of requests that were no lawful ones."""
    audited.get("/x", "X-Request-Id: unknown", token="igw_nobody")
    audited.get("/x", "X-Request-Id: denied", "X-Invopop-Tenant: globex")
    for request_id, error in (("unknown", "unauthenticated"), ("denied", "tenant_denied")):
        (line,) = audited.of(request_id)
        assert (line["event"], line["error"]) == ("request_refused", error)
        assert (line["decision"], line["tenant"], line["key"]) == ("deny", "", "")
    audited.exchange(b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    eventually(lambda: [ln for ln in audited.audit() if ln.get("error") == "bad_request"])


def test_rejected_keys_are_on_record(audited: Audited) -> None:
    """Each with its fingerprint, beside the request that met them."""
    audited.origin.refuse(KEY_A, KEY_B)
    try:
        audited.get("/x", "X-Request-Id: rejected")
    finally:
        audited.origin.refuse()
    (line,) = audited.of("rejected")
    assert (line["event"], line["error"], line["upstream_status"]) == (
        "key_used",
        "key_rejected",
        401,
    )
    rejected = [ln for ln in audited.audit() if ln["event"] == "key_rejected"]
    told = [(line["tenant"], line["slot"], line["key"]) for line in rejected[-2:]]
    assert told == [("acme", "key", PRINT_A), ("acme", "previous", PRINT_B)]


def test_nothing_secret_is_on_record(audited: Audited) -> None:
    """No key, token or query, in a file that only its owner can read."""
    audited.get(f"/{TOK_A}?q={QUERY}", "X-Request-Id: secret", f"X-Invopop-Tenant: {TOK_S}")
    audited.of("secret")
    text = audited.path.read_text()
    assert not [secret for secret in (*SECRETS, QUERY) if secret in text]
    assert audited.path.stat().st_mode & 0o777 == 0o600


def test_rotation_needs_nobody_told(audited: Audited) -> None:
    """A renamed file is made anew; no line is lost between the two."""
    old = audited.path.with_suffix(".1")
    for n in range(40):
        if n == 20:
            audited.path.rename(old)
        audited.get("/x", f"X-Request-Id: rotated-{n}")
    audited.of("rotated-39")
    lines = audited.audit(old) + audited.audit()
    seen = [ln["request_id"] for ln in lines if ln.get("request_id", "").startswith("rotated-")]
    assert seen == [f"rotated-{n}" for n in range(40)]
    assert audited.path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_stops_no_request(audited: Audited) -> None:
    """Served all the same, loudly; when there is room every line follows, whole."""
    audited.get("/x", "X-Request-Id: before")
    audited.of("before")
    audited.limit(audited.path.stat().st_size + 100)
    for n in range(5):
        assert audited.get("/x", f"X-Request-Id: full-{n}").status == 200
    eventually(lambda: audited.ready()["status"] == "degraded")
    assert audited.ready()["checks"]["audit"]["status"] == "degraded"
    assert audited.gateway.metric("audit_failing") == 1
    eventually(lambda: audited.gateway.events("audit_failed"))
    audited.limit(None)
    assert [audited.of(f"full-{n}")[0]["status"] for n in range(5)] == [200] * 5
    eventually(lambda: audited.ready()["status"] == "ready")
    assert audited.gateway.metric("audit_failing") == 0
    eventually(lambda: audited.gateway.events("audit_recovered"))


def test_reloads_are_on_record(audited: Audited) -> None:
    """What took effect, and what was refused."""
    audited.gateway.signal(signal.SIGHUP)
    eventually(lambda: [ln for ln in audited.audit() if ln["event"] == "config_reloaded"])


def test_on_disk_before_it_is_sent(witnessed: Audited) -> None:
    """When the request arrives at Invopop its line is in the file: who, whom, which key."""
    found: list[dict[str, Any]] = []

    def look(wire: Wire, seen: Seen) -> None:
        found.extend(ln for ln in witnessed.audit() if ln.get("request_id") == "first")
        wire.send(fields("200 OK", "Content-Length: 0"))

    witnessed.origin.play(look)
    assert witnessed.get("/access/v1/workspace", "X-Request-Id: first").status == 200
    (line,) = found
    assert line.items() >= {
        "event": "key_taken", "caller": "billing", "tenant": "acme", "key": PRINT_A,
        "operation": "access.workspace.fetch", "decision": "allow",
    }.items()  # fmt: skip
    assert "status" not in line
    assert [ln["event"] for ln in witnessed.of("first")] == ["key_taken", "key_used"]


def test_each_key_has_its_own_line_first(witnessed: Audited) -> None:
    """Invopop refuses one key: the other is on record too before it is used."""
    witnessed.origin.answer(REFUSED)
    assert witnessed.get("/x", "X-Request-Id: two").status == 200
    first, second, used = witnessed.of("two")
    assert [line["event"] for line in (first, second, used)] == ["key_taken"] * 2 + ["key_used"]
    assert {first["key"], second["key"]} == {PRINT_A, PRINT_B}
    assert used["key"] == second["key"]


def test_what_cannot_be_recorded_is_not_sent(witnessed: Audited) -> None:
    """503 `audit_unavailable`, and not a byte upstream; refused requests need no record first."""
    witnessed.get("/x")
    connections = len(witnessed.origin.ever_connected)
    witnessed.origin.forget()
    witnessed.limit(witnessed.path.stat().st_size + 100)
    for n in range(3):
        reply = witnessed.get("/x", f"X-Request-Id: unrecorded-{n}")
        assert (reply.status, reply.get("x-gateway-error")) == (503, "audit_unavailable")
        assert reply.get("retry-after") == "1"
    assert witnessed.get("/x", token="igw_nobody").status == 401
    assert not witnessed.origin.requests
    assert connections
    assert not witnessed.origin.ever_connected
    witnessed.limit(None)
    eventually(lambda: witnessed.get("/x").status == 200)
    assert witnessed.of("unrecorded-0")[-1].items() >= {
        "event": "request_refused", "error": "audit_unavailable", "status": 503,
    }.items()  # fmt: skip


def test_the_whole_life_is_on_record(tmp_path: Path) -> None:
    """`started` first, `stopped` last, and every event is one of the list."""
    with Audited(tmp_path) as made:
        made.get("/x", "X-Request-Id: last")
        assert made.gateway.stop() == 0
        events = [line["event"] for line in made.audit()]
    assert (events[0], events[-2:]) == ("started", ["key_used", "stopped"])
    assert {*events} <= {*get_args(AuditEvent)}


def test_stdout_takes_it_too(tmp_path: Path) -> None:
    """`file = "stdout"`: among the log's lines, told apart by `log`."""
    with World(tmp_path, {"audit": {"file": "stdout"}}) as world:
        world.get("/x", "X-Request-Id: out")
        lines = eventually(lambda: world.gateway.events("key_used"))
        assert lines[-1]["log"] == "audit"
        assert world.gateway.stop() == 0
        audit = [record["event"] for record in world.gateway.records() if "log" in record]
        assert (audit[0], audit[-1]) == ("started", "stopped")


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """Exit 1 with the setting's name."""
    world = World(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    configured = settings(world.origin, world.authority.ca_file, world.issuer)
    write_toml(tmp_path / "gateway.toml", configured | {"audit": {"file": "link"}})
    write_toml(tmp_path / "vault.toml", VAULT)
    code, output = run(["serve", "--config", str(tmp_path / "gateway.toml")], ENVIRON)
    world.origin.hang_up()
    assert code == 1
    assert re.search(r"(?m)^  audit\.file  \(line [0-9]+\)$", output), output
    assert not (tmp_path / "elsewhere").exists()
