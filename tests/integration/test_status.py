"""`/status` and `/` on the wire: for whom, under which names, and what they tell."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import eventually
from tests.support.world import KEY_A, SECRETS, TOK_S, World, fields, request


@pytest.fixture(scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("status")) as made:
        yield made


@pytest.fixture
def world(_world: World) -> Iterator[World]:
    """A gateway with usual settings, and what must hold after each case."""
    yield _world
    _world.check_invariants()


def status(world: World) -> dict[str, Any]:
    """What `/status` says now."""
    code, body = world.gateway.admin("/status")
    assert code == 200, body
    told: dict[str, Any] = json.loads(body)
    return told


def asked(world: World, head: str) -> tuple[int, dict[str, str], bytes]:
    """A request of exactly that head to the admin listener: status, headers, body."""
    with socket.create_connection(("127.0.0.1", world.gateway.admin_port), 5) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\nConnection: close\r\n\r\n")
        raw = b"".join(iter(lambda: connection.recv(65536), b""))
    top, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = top.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


@pytest.mark.parametrize("path", ["/", "/status"])
def test_a_page_elsewhere_cannot_read_it_by_rebinding_its_name(world: World, path: str) -> None:
    """A name that its owner has pointed at this machine is refused, and told why."""
    for host in ("evil.example", "localhost.evil.example", f"evil.example:{1}"):
        code, _, body = asked(world, f"GET {path} HTTP/1.1\nHost: {host}")
        assert code == 403
        assert b"localhost" in body
    code, _, _ = asked(world, f"GET {path} HTTP/1.0\nX-A: b")
    assert code == 403


def test_probes_and_metrics_are_for_every_name(world: World) -> None:
    """Prometheus and kubelets ask under whatever name they know."""
    for path in ("/metrics", "/livez", "/readyz"):
        code, _, _ = asked(world, f"GET {path} HTTP/1.1\nHost: gateway.monitoring.svc")
        assert code == 200


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "text/html; charset=utf-8"), ("/status", "application/json")]
)
def test_methods_and_headers(world: World, path: str, kind: str) -> None:
    """GET and HEAD, never kept, framed, sniffed or told to others; anything else is 405."""
    code, headers, body = asked(world, f"GET {path} HTTP/1.1\nHost: localhost")
    assert (code, headers["content-type"]) == (200, kind)
    assert body
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    code, headers, body = asked(world, f"HEAD {path} HTTP/1.1\nHost: localhost")
    assert (code, headers["content-type"], body) == (200, kind, b"")
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        code, headers, _ = asked(world, f"{method} {path} HTTP/1.1\nHost: localhost")
        assert code == 405
        assert set(headers["allow"].upper().split(", ")) == {"GET", "HEAD"}


def test_a_failure_is_told_with_its_request_id_and_what_to_do(world: World) -> None:
    """The operator who is sent a request id finds it, and why."""
    raw = request("GET /x", "X-Request-Id: lost-1", "X-Invopop-Tenant: nobodys", token=TOK_S)
    assert world.exchange(raw).status == 403
    failure = status(world)["failures"][0]
    expected = {"request_id": "lost-1", "caller": "shared", "status": 403,
                "error": "tenant_denied"}  # fmt: skip
    assert expected.items() <= failure.items()
    assert "explain" in failure["advice"]


def test_what_broke_on_the_way_is_the_cause(world: World) -> None:
    """A reply that breaks off counts as failed, for its tenant too, with the attempt's kind."""
    world.origin.answer(fields("200 OK", "Content-Length: 99") + b"short", "abort")
    world.exchange(request("GET /x", "X-Request-Id: torn-1"))
    told = status(world)
    assert told["failures"][0]["request_id"] == "torn-1"
    assert told["failures"][0]["cause"] in {"truncated", "closed"}
    assert told["upstream"]["failed_attempts"]
    (acme,) = [key for key in told["tenants"]["keys"] if key["tenant"] == "acme"]
    assert acme["failed"] >= 1


def test_requests_are_counted_by_caller(world: World) -> None:
    """Who called, how often, and when last; strangers apart."""
    world.get("/x")
    world.get("/x", token="igw_nobodys")
    told = status(world)
    (billing,) = [row for row in told["callers"]["rows"] if row["name"] == "billing"]
    assert billing["requests"] >= 1
    assert billing["known_by"] == ["1 token", "JSON Web Token"]
    assert told["at"] - billing["last_seen"] < 60
    assert told["callers"]["unknown"] >= 1
    assert told["traffic"]["requests"] >= 2
    assert told["traffic"]["p50"] > 0


def test_tenants_show_fingerprints_and_use(world: World) -> None:
    """Where a key comes from and which it is; when it was used; never the key."""
    seen_at = status(world)["at"]
    world.get("/x")
    told = status(world)
    (acme,) = [key for key in told["tenants"]["keys"] if key["tenant"] == "acme"]
    assert (acme["source"], acme["state"]) == ("env TEST_KEY_A", "ok")
    assert len(acme["fingerprint"]) == 12
    assert acme["used_at"] is not None
    assert acme["read_at"] <= seen_at
    assert told["tenants"]["total"] == 2


def test_neither_shows_a_secret_or_a_directory(world: World) -> None:
    """Whatever was sent: no key, token or shared secret, and of files no more than names."""
    world.origin.answer(fields("401 No", f"WWW-Authenticate: {KEY_A}", "Content-Length: 0"), "keep")
    world.get("/x")
    pages = world.gateway.admin("/")[1] + world.gateway.admin("/status")[1]
    for secret in SECRETS:
        assert secret.encode() not in pages
    assert str(world.gateway.directory).encode() not in pages
    assert b"gateway.toml" in pages


def test_a_refused_reload_is_told_until_it_is_mended(tmp_path: Path) -> None:
    """What is in force stays; why the new file is not in force stands on the page."""
    with World(tmp_path) as world:
        config, text = world.gateway.config, world.gateway.config.read_text()
        config.write_text(text + 'nonsense = "x"\n')
        told = eventually(lambda: _reloaded(world, "failure"))
        assert any("nonsense" in line for line in told["configuration"]["problems"])
        assert str(tmp_path) not in json.dumps(told)
        assert any("last reload was refused" in concern["what"] for concern in told["concerns"])
        config.write_text(text)
        told = eventually(lambda: _reloaded(world, "success"))
        assert not told["configuration"]["problems"]
        assert not any("last reload was refused" in concern["what"] for concern in told["concerns"])


def _reloaded(world: World, outcome: str) -> dict[str, Any]:
    told = status(world)
    return told if told["configuration"]["reload"] == outcome else {}
