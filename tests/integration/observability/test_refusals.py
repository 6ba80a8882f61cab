"""Refusals can be traced: every one of them has peer, method and cause, whoever refuses it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import __version__
from tests.support.gateway import eventually
from tests.support.world import ISSUER, World, request


class Traced(World):
    """A gateway with an audit log."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "audit.jsonl"
        super().__init__(directory, {"audit": {"file": str(self.path)}})

    def audit(self) -> list[dict[str, Any]]:
        """Every line of the audit log so far."""
        lines = self.path.read_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in lines]

    def audited(self, request_id: str) -> dict[str, Any]:
        """The audit line about a request."""
        return eventually(
            lambda: next((x for x in self.audit() if x.get("request_id") == request_id), {})
        )


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    with Traced(tmp_path_factory.mktemp("refusals")) as made:
        yield made


@pytest.mark.parametrize(
    ("raw", "method", "error"),
    [
        (request("GET /a//b"), "GET", "bad_request"),
        (request("POST /a/../b", "Content-Length: 0"), "POST", "bad_request"),
        (request("PUT /x", "X-Request-Timeout: soon"), "PUT", "bad_request"),
        (request("DELETE /x", "Via: 1.1 invopop-gateway"), "DELETE", "loop_detected"),
        (request("TRACE /x"), "OTHER", "method_not_allowed"),
        (request("PATCH http://other.example/x"), "PATCH", "misdirected"),
        (request("GET /x", "Content-Length: x"), "GET", "bad_request"),
        (request("GET /x", "Expect: a-pony", "Content-Length: 1"), "GET", "bad_request"),
        (request("HEAD /x", *[f"X-{n}: y" for n in range(200)]), "HEAD", "headers_too_large"),
        (request("GET /x", token="wrong"), "GET", "unauthenticated"),
    ],
    ids=str,
)
def test_every_refusal_names_peer_method_and_cause(
    traced: Traced, raw: bytes, method: str, error: str
) -> None:
    """In the access log and in the audit log; the log also counts the bytes of the reply."""
    reply = traced.exchange(raw, "HEAD" if raw.startswith(b"HEAD") else "GET")
    request_id = str(reply.get("x-request-id"))
    line = traced.gateway.exchange(request_id)
    for found in (line, traced.audited(request_id)):
        assert (found["peer"], found["method"], found["error"]) == ("127.0.0.1", method, error)
        assert found["cause"]
    assert line["bytes_out"] == len(reply.body)


def test_a_verified_token_of_no_caller_is_named_in_the_log_only(traced: Traced) -> None:
    """Issuer and subject say whom to add to `[callers]`; the reply says nothing of them."""
    reply = traced.get("/x", token=traced.token_of(ISSUER, "nobody"))
    line = traced.gateway.exchange(str(reply.get("x-request-id")))
    assert (line["error"], line["issuer"]) == ("caller_unknown", ISSUER)
    assert line["subject"] == "nobody"
    assert "nobody" not in str(reply)


def test_a_denied_operation_keeps_its_tenant_in_the_log(tmp_path: Path) -> None:
    """The metrics have none: the request was not let in."""
    with World(tmp_path, {"callers": {"billing": {"allow": ["GET /warm"]}}}) as world:
        reply = world.get("/silo/v1/entries")
        line = world.gateway.exchange(str(reply.get("x-request-id")))
        assert (line["error"], line["tenant"]) == ("operation_denied", "acme")
        labels = {"caller": "billing", "status": "403"}
        assert world.gateway.metric("requests_total", tenant="", **labels) == 1
        assert world.gateway.metric("requests_total", tenant="acme", **labels) == 0


def test_the_log_has_start_drain_and_end(tmp_path: Path) -> None:
    """One line each: what runs with which file, how the drain went, and the exit code."""
    with World(tmp_path, {}) as world:
        (started,) = world.gateway.events("process_started")
        assert started["version"] == __version__
        assert started["config"].endswith(".toml")
        assert started["tenants"] >= 1
        assert started["callers"] >= 1
        world.gateway.stop()
        names = [line["event"] for line in world.gateway.records() if "event" in line]
        ends = [
            name for name in names if name in {"drain_started", "drain_ended", "process_stopped"}
        ]
        assert ends == ["drain_started", "drain_ended", "process_stopped"]
        assert world.gateway.events("drain_ended")[0]["requests_cut"] == 0
        assert world.gateway.events("process_stopped")[0]["exit_code"] == 0


def test_a_flood_without_a_credential_is_coalesced(tmp_path: Path) -> None:
    """A few lines in both logs, whose counts make up all of them; the metrics are exact."""
    with Traced(tmp_path) as world:
        before = world.gateway.metric("rejected_total", reason="unauthenticated")
        connection = world.connect()
        for _ in range(500):
            connection.send(request("GET /x", token="igw_nobody"))
            assert connection.reply("GET").status == 401
        total = world.gateway.metric("rejected_total", reason="unauthenticated") - before
        assert total == 500
        world.gateway.stop()
        for lines, name in (
            (world.gateway.records(), "exchange"),
            (world.audit(), "request_refused"),
        ):
            whole = [
                x for x in lines if x.get("event") == name and x.get("error") == "unauthenticated"
            ]
            counts = [x for x in lines if x.get("event") == "requests_refused" and "peer" in x]
            assert whole
            assert len(whole) + len(counts) < 100
            assert len(whole) + sum(x["count"] for x in counts) == 500
            assert counts[0]["peer"] == "127.0.0.1"
            assert counts[0]["errors"] == {"unauthenticated": counts[0]["count"]}
