"""Tunnels to Invopop's hosts: TLS ends here, and every request inside is judged as any other."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.cli.tunnel_ca import LIFE
from tests.support.gateway import eventually, token_hash
from tests.support.tunnels import TunnelClient, basic, tunnel_settings
from tests.support.world import KEY_A, KEY_B, TOK_A, TOK_B, TOK_S, World, request

SDK = "Authorization: Bearer sentinel-real-key-in-the-sdk-000000"
PLACEHOLDER = "Authorization: Bearer placeholder"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory: Path = tmp_path_factory.mktemp("tunnel")
    changes = {
        "tunnel": tunnel_settings(directory, "localhost"),
        "limits": {"max_body": "8MiB"},
        "audit": {"file": str(directory / "audit.log")},
    }
    with World(directory, changes) as made:
        yield made


@pytest.fixture
def world(running: World) -> Iterator[World]:
    yield running
    running.check_invariants()


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One that knows this machine without a token."""
    directory: Path = tmp_path_factory.mktemp("tunnel-sidecar")
    local = {"networks": ["127.0.0.0/8"], "issuers": [], "tenants": ["acme"]}
    changes = {
        "tunnel": tunnel_settings(directory, "localhost"),
        "listen": {"placeholder_tokens": ["placeholder"]},
        "callers": {"local": local},
    }
    with World(directory, changes) as made:
        yield made


def client(world: World) -> TunnelClient:
    return TunnelClient(world.gateway.port, world.gateway.directory / "tunnel-ca.pem")


def test_requests_inside(world: World) -> None:
    """The SDK's own key counts as none; the tenant's is sent; a tunnel serves many, of any size."""
    with client(world).open("localhost:443") as tunnel:
        assert tunnel.sock.version() in {"TLSv1.2", "TLSv1.3"}
        assert tunnel.ask("GET /silo/v1/entries", SDK).status == 200
        body = bytes(5 << 20)
        assert tunnel.ask("POST /silo/v1/entries", SDK, body=body).status == 200
        world.origin.echo_target()
        assert tunnel.ask("GET /" + "x" * 9000, SDK).body == b"/" + b"x" * 9000
        assert tunnel.ask("GET https://localhost/in-full", SDK).body == b"/in-full"
    seen = world.origin.requests
    assert [one.all("authorization") for one in seen] == [[f"Bearer {KEY_A}"]] * 4
    assert {one.get("host") for one in seen} == {world.origin.authority}
    assert len(seen[1].body) == 5 << 20


def test_a_large_reply(world: World) -> None:
    """It streams through, as fast as its reader takes it."""
    size = 20 << 20
    world.origin.sending(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, size)
    with client(world).open("localhost:443") as tunnel:
        assert len(tunnel.ask("GET /large").body) == size


def test_a_file_host(world: World) -> None:
    """Inside, paths are its own, also one that begins with /.files/; no key is sent."""
    with client(world).open(world.files.authority) as tunnel:
        for target in ("/a/b.pdf?h=1", "/.files/localhost/x", "/%2efiles/x"):
            assert tunnel.ask(f"GET {target}", SDK, "Cookie: a=b").status == 200
        assert tunnel.ask("PATCH /a").status == 405
        assert tunnel.ask(f"GET https://{world.origin.authority}/x").status == 421
    targets = [one.target for one in world.files.requests]
    assert targets == [b"/a/b.pdf?h=1", b"/.files/localhost/x", b"/%2efiles/x"]
    assert not world.origin.requests


def test_the_caller_is_known_first(world: World) -> None:
    """407 without a credential, or with a wrong one; `Authorization` is not for the proxy."""
    for fields in ((), ("Proxy-Authorization: Bearer wrong",), (f"Authorization: Bearer {TOK_A}",)):
        with client(world) as tunnel:
            status, rest = tunnel.connect("localhost:443", *fields)
            assert status == 407
            assert 'proxy-authenticate: Basic realm="invopop-gateway"' in rest


@pytest.mark.parametrize(
    "authority",
    ["evil.com:443", "localhost:80", "localhost:1", "127.0.0.1:443", "[::1]:443",
     "169.254.169.254:80",
     "localhost", "localhost.evil.com:443", "u:p@localhost:443", "/", "http://localhost:443"],
)  # fmt: skip
def test_other_hosts_and_ports(world: World, authority: str) -> None:
    """405, with a phrase that says what to do."""
    with client(world) as tunnel:
        status, rest = tunnel.connect(authority, basic())
        assert (status, rest.partition("\r\n")[0]) == (405, "No tunnels: use http:// URLs")
        assert "x-gateway-error: method_not_allowed" in rest


def test_another_host_is_told_which_ones(world: World) -> None:
    """With `[tunnel]`, `detail` names the hosts that tunnels lead to, and `NO_PROXY`."""
    reply = world.exchange(request("CONNECT evil.com:443"), "GET")
    detail = json.loads(reply.body)["detail"]
    assert (reply.status, "opens no tunnels" in detail, "evil" in detail) == (405, False, False)
    for word in (world.origin.authority, world.files.authority, "NO_PROXY"):
        assert word in detail


def test_when_its_authority_expires(world: World) -> None:
    """A metric beside those of listeners, and a line on the status page."""
    ends = world.gateway.metric("certificate_expiry_timestamp_seconds", listener="tunnel")
    assert abs(ends - time.time() - LIFE.total_seconds()) < 3600
    status = json.loads(world.gateway.admin("/status")[1])
    shown = {one["name"]: one["value"] for one in status["configuration"]["settings"]}
    assert shown["Tunnels"] == "open"
    assert shown["File hosts"] == world.files.authority
    assert shown["Certificates expire"].startswith("tunnel.certificate 20")


@pytest.mark.parametrize("authority", ["LOCALHOST:443", "localhost.:443"])
def test_other_spellings_of_the_host(world: World, authority: str) -> None:
    """Letter case and the final dot do not matter."""
    with client(world) as tunnel:
        assert tunnel.connect(authority, basic())[0] == 200
        tunnel.secure("localhost")
        assert tunnel.ask("GET /x").status == 200


def test_what_the_log_and_the_audit_log_say(world: World) -> None:
    """A tunnel is no refusal; requests inside are logged as others are, with their caller."""
    with client(world).open("localhost:443") as tunnel:
        reply = tunnel.ask("GET /silo/v1/entries", f"X-Request-Id: {TOK_A}")
        assert reply.get("x-request-id") != TOK_A
        line = world.gateway.exchange(reply.get("x-request-id") or "")
        assert (line["caller"], line["operation"]) == ("billing", "silo.entries.list")
        assert tunnel.ask("GET /silo/v1/entries", f"X-Copy: {TOK_A}").status == 200
        assert not world.origin.requests[-1].all("x-copy")
        assert tunnel.ask(f"GET /x?copy={TOK_A}").status == 400
    audit = world.gateway.directory / "audit.log"
    assert eventually(lambda: '"event":"tunnel_opened"' in audit.read_text())


def test_policy_and_tenant_hold_inside(world: World) -> None:
    """A caller of two tenants names one in each request."""
    with client(world).open("localhost:443", basic(TOK_S)) as tunnel:
        assert tunnel.ask("GET /x").status == 403
        assert tunnel.ask("GET /x", "X-Invopop-Tenant: globex").status == 200
        assert tunnel.ask("GET /x", "X-Invopop-Tenant: initech").status == 403
    assert world.origin.requests[-1].all("authorization") == [f"Bearer {KEY_B}"]


def test_known_by_address(beside: World) -> None:
    """Then a credential inside is judged, unless it is a placeholder; a page is refused."""
    with client(beside) as tunnel:
        assert tunnel.connect("localhost:443")[0] == 200
        tunnel.secure()
        assert tunnel.ask("GET /x").status == 200
        assert tunnel.ask("GET /x", PLACEHOLDER).status == 200
        assert tunnel.ask("GET /x", SDK).status == 401
        assert tunnel.ask("GET /x", f"Authorization: Bearer {TOK_B}").status == 200
        assert tunnel.ask("GET /x", "Origin: https://evil.com").status == 403
    keys = [one.all("authorization") for one in beside.origin.requests[-3:]]
    assert keys == [[f"Bearer {KEY_A}"], [f"Bearer {KEY_A}"], [f"Bearer {KEY_B}"]]


def test_a_wrong_credential_is_not_ignored_for_an_address(beside: World) -> None:
    """407, though the address alone would do."""
    with client(beside) as tunnel:
        assert tunnel.connect("localhost:443", "Proxy-Authorization: Bearer wrong")[0] == 407


def test_idle_tunnels_do_not_hold_up_the_end(tmp_path: Path) -> None:
    """A drain ends although clients keep their tunnels open, each closed in order."""
    changes = {"tunnel": tunnel_settings(tmp_path, "localhost")}
    with World(tmp_path, changes) as world, client(world).open("localhost:443") as idle:
        assert idle.ask("GET /x").status == 200
        assert world.gateway.stop() == 0
        assert idle.sock.recv(1) == b""


def test_opened_at_the_end_of_a_drain(tmp_path: Path) -> None:
    """By a client that was connected by then: its request inside is answered, as without TLS."""
    program = (
        "from gateway.server import listener; listener.FIRST_BYTE_SECONDS = 20.0;"
        "from gateway.__main__ import main; main()"
    )
    world = World(tmp_path, {"tunnel": tunnel_settings(tmp_path, "localhost")})
    world.gateway.program = ("-c", program)
    with world, client(world) as tunnel:
        world.gateway.signal(signal.SIGTERM)
        world.gateway.told("drain_started")
        eventually(lambda: refused(world.gateway.port))
        assert tunnel.open("localhost:443").ask("GET /x").status == 200
        assert world.gateway.wait() == 0


def refused(port: int) -> bool:
    """Whether nobody listens at that port any more."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_turned_off_by_a_reload(tmp_path: Path) -> None:
    """Without `[tunnel]` CONNECT is refused; a revoked caller stops in a kept tunnel."""
    changes = {"tunnel": tunnel_settings(tmp_path, "localhost")}
    with World(tmp_path, changes) as world, client(world).open("localhost:443") as tunnel:
        assert tunnel.ask("GET /x").status == 200
        text = world.gateway.config.read_text().replace(token_hash(TOK_A), token_hash("other"))
        lines = [line for line in text.splitlines() if not line.startswith("tunnel =")]
        world.gateway.config.write_text("\n".join(lines))
        world.gateway.told("config_reload")
        assert tunnel.ask("GET /x").status == 401
        with client(world) as another:
            assert another.connect("localhost:443", basic(TOK_B))[0] == 405
