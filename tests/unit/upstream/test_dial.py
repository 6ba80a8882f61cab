"""Dialling: names, addresses in turn, proxies; each failure has its kind and leaves no socket."""

import socket
import threading
from collections.abc import Callable, Sequence

import pytest

from gateway.errors import UpstreamError
from gateway.events import Event, UpstreamConnected
from gateway.upstream.transport import Transport
from tests.support.certificates import Certificates
from tests.support.origin import Connection, Origin, Script, answering, ok
from tests.support.outbound import fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]


def resolving(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[str]) -> None:
    """Every name has these addresses."""
    found = [(socket.AF_INET, 1, 6, "", (host, 0)) for host in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


async def cause_of(t: Transport, url: str, connect: float = 5.0) -> str:
    """What the log is told of the failure that a request ends with; nothing of it was sent."""
    with pytest.raises(UpstreamError) as caught:
        await fetch(t, request(url, connect=connect))
    assert not caught.value.sent
    assert t.pools[0].active == 0
    assert caught.value.cause.split(":")[0] == caught.value.kind
    return caught.value.cause


async def kind_of(t: Transport, url: str, connect: float = 5.0) -> str:
    """The kind alone."""
    return (await cause_of(t, url, connect)).split(":")[0]


async def test_a_name_that_does_not_resolve(transport: Transports, events: list[Event]) -> None:
    """502 `upstream_unreachable`, told as `dns`."""
    cause = await cause_of(transport(), "https://no.such.host.invalid")
    assert cause.startswith("dns: no.such.host.invalid:443: ")
    assert events == [UpstreamConnected("dns")]


async def test_nobody_listens(transport: Transports, events: list[Event]) -> None:
    """502 `upstream_unreachable`, told as `connect_refused`."""
    assert await cause_of(transport(), "https://127.0.0.1:1") == "connect_refused: 127.0.0.1:1"
    assert events == [UpstreamConnected("connect_refused")]


async def test_a_dead_address_is_passed_over(
    origin: Origins, transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused at one address, the next is tried at once; at all, the error says so."""
    u = origin(answering(ok()))
    resolving(monkeypatch, ["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    assert await fetch(transport(), request(u.url)) == (200, b"ok")
    resolving(monkeypatch, ["127.0.0.2", "127.0.0.3"])
    assert await kind_of(transport(), u.url) == "connect_refused"


async def test_ipv6(certificates: Certificates, transport: Transports) -> None:
    """A literal IPv6 address is dialled and verified."""
    with Origin(answering(ok()), certificates.context("::1"), host="::1") as u:
        assert await fetch(transport(), request(f"https://[::1]:{u.port}")) == (200, b"ok")


def relaying(reply: bytes, upstream: int) -> Script:
    """A CONNECT proxy that answers so, and then relays to a port of the loopback."""

    def script(c: Connection) -> None:
        c.until(b"\r\n\r\n")
        c.send(reply)
        if not upstream:
            return
        with socket.create_connection(("127.0.0.1", upstream)) as out:

            def back() -> None:
                while data := out.recv(65536):
                    c.send(data)

            thread = threading.Thread(target=back, daemon=True)
            thread.start()
            while data := c.sock.recv(65536):
                out.sendall(data)
            out.shutdown(socket.SHUT_WR)
            thread.join(10)

    return script


async def test_a_connect_proxy(origin: Origins, transport: Transports) -> None:
    """TLS goes through the tunnel, end to end: the proxy sees the authority and nothing else."""
    u = origin(answering(ok(b"through")))
    with Origin(relaying(b"HTTP/1.1 200 Fine\r\nX: y\r\n\r\n", u.port), None) as proxy:
        t = transport(proxy=("127.0.0.1", proxy.port))
        for _ in range(2):
            assert await fetch(t, request(u.url)) == (200, b"through")
        authority = b"localhost:%d" % u.port
        assert proxy.received == (
            b"CONNECT " + authority + b" HTTP/1.1\r\nhost: " + authority + b"\r\n\r\n"
        )
        await t.aclose()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 Connection established\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 299 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_an_answer_that_opens_the_tunnel(
    origin: Origins, transport: Transports, answer: bytes
) -> None:
    """Framing fields of a 2xx mean nothing (RFC 9110 9.3.6); 1xx come before it (15.2)."""
    u = origin(answering(ok()))
    with Origin(relaying(answer, u.port), None) as proxy:
        t = transport(proxy=("127.0.0.1", proxy.port))
        assert await fetch(t, request(u.url)) == (200, b"ok")
        await t.aclose()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20000,
        b"",
    ],
)
async def test_a_proxy_that_refuses(transport: Transports, reply: bytes) -> None:
    """502, told as `proxy`; bytes that a proxy adds are never taken for the upstream's."""
    with Origin(relaying(reply, 0), None) as proxy:
        t = transport(proxy=("127.0.0.1", proxy.port))
        assert await kind_of(t, "https://localhost:1") == "proxy"


async def test_the_environments_proxies_are_ignored(
    origin: Origins, transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an explicit proxy is used."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    u = origin(answering(ok()))
    assert await fetch(transport(), request(u.url)) == (200, b"ok")


@pytest.mark.parametrize("interim", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_the_log_is_told_what_a_proxy_did(transport: Transports, interim: bytes) -> None:
    """Its name and its answer's status; or that it is the proxy which is not there."""
    with Origin(relaying(interim + b"HTTP/1.1 407 No\r\n\r\n", 0), None) as proxy:
        name = f"127.0.0.1:{proxy.port}"
        t = transport(proxy=("127.0.0.1", proxy.port))
        assert await cause_of(t, "https://localhost:1") == f"proxy: {name}: it answered 407"
    t = transport(proxy=("127.0.0.1", 1))
    assert await cause_of(t, "https://localhost:1") == "connect_refused: proxy 127.0.0.1:1"
    t = transport(proxy=("no.such.invalid", 1))
    assert (await cause_of(t, "https://localhost:1")).startswith("dns: proxy no.such.invalid:1: ")


async def test_a_name_server_that_is_silent(
    transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """504 `upstream_timeout`; the log is told that it was the name."""
    answering = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answering.wait(30))
    cause = await cause_of(transport(), "https://origin.test", connect=0.3)
    answering.set()
    assert cause == "connect_timeout: origin.test:443: its name was not resolved in time"


async def test_a_final_dot_is_for_the_resolver_only(
    certificates: Certificates, transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`origin.test.` is looked up so, and is `origin.test` in SNI and in the certificate."""
    resolving(monkeypatch, ["127.0.0.1"])
    with Origin(answering(ok()), certificates.context("origin.test")) as u:
        assert await fetch(transport(), request(f"https://origin.test.:{u.port}")) == (200, b"ok")
        assert u.connections[0].sni == "origin.test"
