"""Tunnels: a way round the gateway, or into another caller's requests.

The attacker has a token, or had one, or none. They open a tunnel to another host or port, change
the name in TLS after CONNECT, put a second CONNECT inside, send a request in clear text right
behind the CONNECT, keep a tunnel after their token was revoked, or open a thousand and say nothing.

Proxies that pass bytes through once they have said 200 see nothing of what follows: domain fronting
(RFC 9110 9.3.6 warns of tunnels to any port; CWE-441), smuggling behind CONNECT (CVE-2021-33193's
kin), and sessions that outlive their credential. The gateway ends the TLS itself with a certificate
for that one name, so that every request inside is read, judged as of then, and sent as any other.
"""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import token_hash
from tests.support.tunnels import TunnelClient, basic, read_head, tunnel_settings
from tests.support.world import TOK_A, TOK_B, World, request

MANY = 1000
EACH = 96 * 1024  # bytes that an idle tunnel may take, its connection with it


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory: Path = tmp_path_factory.mktemp("tunnels")
    with World(directory, {"tunnel": tunnel_settings(directory, "localhost")}) as made:
        yield made


@pytest.fixture
def tunnelling(running: World) -> Iterator[World]:
    """A gateway with tunnels; after each attack the gallery's invariants hold."""
    yield running
    running.check_invariants()


def client(world: World) -> TunnelClient:
    return TunnelClient(world.gateway.port, world.gateway.directory / "tunnel-ca.pem")


def test_another_name_in_tls(tunnelling: World) -> None:
    """The handshake fails with an alert; nothing is read inside, and it is counted."""
    for name in ("silo.invopop.com", "localhost.evil.com", "evil.com"):
        with client(tunnelling) as tunnel:
            assert tunnel.connect("localhost:443", basic())[0] == 200
            with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
                tunnel.secure(name)
    assert tunnelling.gateway.metric("tls_handshake_failures_total", reason="server_name") == 3
    assert not tunnelling.origin.requests


def test_no_name_in_tls(tunnelling: World) -> None:
    """The same without any name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with client(tunnelling) as tunnel:
        assert tunnel.connect("localhost:443", basic())[0] == 200
        with pytest.raises(ssl.SSLError):
            tunnel.sock = context.wrap_socket(tunnel.sock)


def test_a_connect_inside(tunnelling: World) -> None:
    """405: there is no tunnel within a tunnel, to whatever host."""
    for authority in ("localhost:443", "evil.com:443"):
        with client(tunnelling).open("localhost:443") as tunnel:
            line = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{basic()}\r\n\r\n"
            tunnel.sock.sendall(line.encode())
            assert read_head(tunnel.sock).startswith(b"HTTP/1.1 405 No tunnels: use http:// URLs")


@pytest.mark.parametrize("credential", [basic(), "X-None: 1", "Proxy-Authorization: Bearer wrong"])
def test_clear_text_behind_the_connect(tunnelling: World, credential: str) -> None:
    """It is never read as a request: it is the beginning of TLS, or is thrown away."""
    hidden = request("GET /hidden", token=TOK_B)
    with client(tunnelling) as tunnel:
        status, _ = tunnel.connect("localhost:443", credential, behind=hidden)
        assert status == (200 if credential == basic() else 407)
        rest = b""
        while data := _received(tunnel):
            rest += data
        assert b"HTTP/1.1 200" not in rest
    assert not tunnelling.origin.requests


def _received(tunnel: TunnelClient) -> bytes:
    try:
        return bytes(tunnel.sock.recv(65536))
    except ConnectionResetError:
        return b""


def test_a_handshake_that_does_not_wait(tunnelling: World) -> None:
    """A ClientHello in the same segment as the CONNECT is lawful, and is served."""
    context = ssl.create_default_context(cafile=tunnelling.gateway.directory / "tunnel-ca.pem")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    with client(tunnelling) as tunnel:
        assert tunnel.connect("localhost:443", basic(), behind=outgoing.read())[0] == 200
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(tunnel.sock.recv(65536))
        session.write(b"GET /x HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        tunnel.sock.sendall(outgoing.read())
        answer = b""
        while b"HTTP/1.1 200" not in answer:
            incoming.write(tunnel.sock.recv(65536))
            try:
                answer += session.read(65536)
            except ssl.SSLWantReadError:
                continue
    assert [one.target for one in tunnelling.origin.requests] == [b"/x"]


def test_a_body_of_connect(tunnelling: World) -> None:
    """400: what follows a CONNECT is the tunnel's, so there is nothing that a length could mean."""
    with client(tunnelling) as tunnel:
        status, _ = tunnel.connect("localhost:443", basic(), "Content-Length: 5", behind=b"hello")
        assert status == 400


def test_a_revoked_credential_in_a_kept_tunnel(tmp_path: Path) -> None:
    """401 with the next request, and with every one after it."""
    changes = {"tunnel": tunnel_settings(tmp_path, "localhost")}
    with World(tmp_path, changes) as world, client(world).open("localhost:443") as tunnel:
        assert tunnel.ask("GET /x").status == 200
        config = world.gateway.config
        config.write_text(config.read_text().replace(token_hash(TOK_A), token_hash("another")))
        world.gateway.told("config_reload")
        assert [tunnel.ask("GET /x").status for _ in range(2)] == [401, 401]


def test_a_thousand_idle_tunnels(tunnelling: World) -> None:
    """Each takes a small, fixed amount of memory; others are served meanwhile."""
    gateway = tunnelling.gateway
    before = gateway.resident_bytes()
    ca = str(gateway.directory / "tunnel-ca.pem")
    command = [sys.executable, "-m", "tests.support.idle_tunnels", str(gateway.port), ca, str(MANY)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holding:
        assert holding.stdin is not None
        assert holding.stdout is not None
        assert holding.stdout.readline() == "{200}\n"
        assert tunnelling.get("/x").status == 200
        assert gateway.resident_bytes() - before < MANY * EACH
        holding.stdin.close()
        assert holding.wait(20) == 0
