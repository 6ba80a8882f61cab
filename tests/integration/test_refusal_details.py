"""Refusals say what to do, where developers look: reason phrase, `detail`, log."""

import json

import pytest

from tests.support.gateway import eventually
from tests.support.world import World, request


def detail_of(world: World, raw: bytes, method: str = "GET") -> str:
    """What the refusal of a request advises."""
    return str(json.loads(world.exchange(raw, method).body)["detail"])


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_refused_tunnel(world: World, token: str | None) -> None:
    """Clients show its reason phrase; `detail` names every way that works."""
    raw = request("CONNECT api.invopop.com:443", token=token)
    connection = world.connect()
    connection.send(raw)
    connection.until(b"HTTP/1.1 405 No tunnels: use http:// URLs\r\n")
    detail = detail_of(world, raw)
    assert all(word in detail for word in ("base URL", "http_proxy", "proxyTunnel: false"))


def test_another_host(world: World) -> None:
    """A client that sends everything through its proxy learns what else to configure."""
    detail = detail_of(world, request("GET http://evil.example/x"))
    assert world.origin.authority in detail
    assert "NO_PROXY" in detail
    assert "evil" not in detail


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_proxy_without_a_token(world: World, token: str | None) -> None:
    """The variable is ready to be copied; its user name does not matter."""
    raw = request(f"GET http://{world.origin.authority}/x", token=token)
    assert "http_proxy=http://any:TOKEN@gateway:8585" in detail_of(world, raw)


def test_a_target_that_is_not_encoded(world: World) -> None:
    """Raw UTF-8 in a path or query is a common mistake of scripts."""
    for target in ("/silo/v1/entries/é", "/x?q=é", "http://api.invopop.com/é"):
        raw = request("GET @").replace(b"@", target.encode())
        assert "percent-encode it" in detail_of(world, raw)


def test_http_2_with_prior_knowledge(world: World) -> None:
    """The client cannot read the reply, so the log says what it is about."""
    raw = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    connection = world.connect()
    connection.send(raw)
    connection.until(b"HTTP/1.1 505 ")
    eventually(
        lambda: [e for e in world.gateway.events("exchange") if e.get("cause") == "http2_preface"]
    )


@pytest.mark.parametrize("sent", [10, 200_000])
def test_an_aborted_chunked_upload(world: World, sent: int) -> None:
    """It is counted in phase `request`, whether or not the upstream has been asked yet."""
    before = world.gateway.metric("client_disconnects_total", phase="request")
    connection = world.connect()
    connection.send(request("POST /x", "Transfer-Encoding: chunked"))
    connection.send(b"%x\r\n%b\r\n" % (sent, b"Z" * sent))
    if sent > 65536:
        eventually(world.origin.open_connections)
    eventually(lambda: world.gateway.metric("requests_in_flight") >= 1)
    connection.close()
    eventually(
        lambda: world.gateway.metric("client_disconnects_total", phase="request") == before + 1
    )
