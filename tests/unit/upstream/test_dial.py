"""Dialling: names, addresses in turn, proxies; each failure has its kind and leaves no socket."""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.events import Event, UpstreamConnected
from gateway.upstream import dial
from gateway.upstream.transport import Transport
from tests.support.certificates import Certificates
from tests.support.origin import Connection, Origin, Script, answering, ok
from tests.support.outbound import fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]


def resolving(monkeypatch: pytest.MonkeyPatch, addresses: Sequence[Any]) -> None:
    """Every name has these addresses, or fails with that error."""

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        if isinstance(addresses, BaseException):
            raise addresses
        return [
            (socket.AF_INET6 if ":" in host else socket.AF_INET, 1, 6, "", (host, port))
            for host, port in addresses
        ]

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(
        type(loop), "getaddrinfo", lambda self, *a, **k: getaddrinfo(), raising=False
    )


async def kind_of(t: Transport, url: str, connect: float = 5.0) -> str:
    """The kind of failure that a request ends with; nothing of it was sent."""
    with pytest.raises(UpstreamError) as caught:
        await fetch(t, request(url, connect=connect))
    assert not caught.value.sent
    assert t.pools[0].active == 0
    return caught.value.kind


async def test_a_name_that_does_not_resolve(transport: Transports, events: list[Event]) -> None:
    """502 `upstream_unreachable`, told as `dns`."""
    assert await kind_of(transport(), "https://no.such.host.invalid") == "dns"
    assert events == [UpstreamConnected("dns")]


async def test_nobody_listens(transport: Transports, events: list[Event]) -> None:
    """502 `upstream_unreachable`, told as `connect_refused`."""
    assert await kind_of(transport(), "https://127.0.0.1:1") == "connect_refused"
    assert events == [UpstreamConnected("connect_refused")]


@pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop's methods cannot be replaced
async def test_a_dead_address_is_passed_over(
    origin: Origins, transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused at one address, the next is tried at once; at all, the error says so."""
    u = origin(answering(ok()))
    resolving(monkeypatch, [("127.0.0.2", u.port), ("127.0.0.3", u.port), ("127.0.0.1", u.port)])
    assert await fetch(transport(), request(u.url)) == (200, b"ok")
    resolving(monkeypatch, [("127.0.0.2", u.port), ("127.0.0.3", u.port)])
    assert await kind_of(transport(), u.url) == "connect_refused"


@pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop's methods cannot be replaced
async def test_a_silent_address_does_not_hold_the_next_up(
    origin: Origins, transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8305: after a quarter of a second the next address is tried beside it."""
    u = origin(answering(ok()))
    silent = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = loop.sock_connect

    tried: list[str] = []

    async def connect(sock: socket.socket, address: Any) -> None:
        tried.append(address[0])
        if address[0] == "127.0.0.2":
            await silent.wait()
        await real(sock, address)

    monkeypatch.setattr(loop, "sock_connect", connect)
    resolving(monkeypatch, [("127.0.0.2", u.port), ("127.0.0.1", u.port)])
    assert await fetch(transport(), request(u.url)) == (200, b"ok")
    assert tried == ["127.0.0.2", "127.0.0.1"]
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop's methods cannot be replaced
async def test_of_two_that_connect_in_one_moment_one_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other is closed at once."""
    resolving(monkeypatch, [("127.0.0.1", 1), ("127.0.0.2", 1)])
    monkeypatch.setattr(dial, "STAGGER", 0.0)
    made: list[socket.socket] = []
    both = asyncio.Event()

    async def connect(*_: Any) -> socket.socket:
        own = socket.socket()
        made.append(own)
        if len(made) == 2:
            both.set()
        await both.wait()
        return own

    monkeypatch.setattr(dial, "_connect", connect)
    with await dial._open("origin.test", 1) as kept:
        assert [sock.fileno() >= 0 for sock in made].count(True) == 1
        assert kept in made


async def test_the_connect_timeout_covers_every_address(
    transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """504 `upstream_timeout`, and no attempt goes on afterwards."""
    loop = asyncio.get_running_loop()

    async def connect(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(loop, "sock_connect", connect)
    resolving(monkeypatch, [("127.0.0.2", 1), ("127.0.0.1", 1)])
    assert await kind_of(transport(), "https://localhost:1", connect=0.4) == "connect_timeout"
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == 1


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
    "reply",
    [
        b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nx",
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
