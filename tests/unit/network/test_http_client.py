"""The HTTP transport of issuers and stores: names by the resolver, TLS by one policy."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.network.http_client import HttpTransport
from gateway.network.resolver import Resolver
from gateway.network.tls import client_context
from tests.support.certificates import Certificates
from tests.support.origin import Connection, Origin, Script, answering, ok
from tests.unit.network.conftest import Names


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def origin(certificates: Certificates, names: Names) -> Iterator[Origin]:
    """`origin.test`, on 127.0.0.1."""
    names["origin.test"] = names["origin.test."] = ["127.0.0.1"]
    with Origin(answering(ok()), certificates.context("origin.test")) as made:
        yield made


def client(ca_file: Path, timeout: float = 10.0) -> httpx.AsyncClient:
    """As issuers' and stores' clients are made."""
    context = client_context(ca_file, ca_only=True)
    transport = HttpTransport(context, Resolver(), connections=2)
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout)


async def test_a_connection_is_used_again(
    origin: Origin, certificates: Certificates, names: Names
) -> None:
    """One look-up, one connection, one request after the other."""
    async with client(certificates.ca_file) as http:
        for _ in range(3):
            assert (await http.get(f"https://origin.test:{origin.port}/x")).content == b"ok"
    assert len(origin.connections) == 1
    assert names.asked == ["origin.test"]


async def test_a_final_dot_is_for_the_resolver_only(
    origin: Origin, certificates: Certificates, names: Names
) -> None:
    """Looked up absolutely; not in SNI, in the certificate's name, or in `Host`."""
    async with client(certificates.ca_file) as http:
        assert (await http.get(f"https://origin.test.:{origin.port}/x")).content == b"ok"
    assert names.asked == ["origin.test."]
    assert origin.connections[0].sni == "origin.test"
    assert origin.connections[0].requests[0].values(b"host") == [b"origin.test:%d" % origin.port]


async def test_a_server_that_closed_meanwhile_is_connected_anew(
    certificates: Certificates, names: Names
) -> None:
    """What was kept and has been closed is not used again."""
    names["origin.test"] = ["127.0.0.1"]

    def once(c: Connection) -> None:
        c.request()
        c.send(ok())
        c.close()

    with Origin(once, certificates.context("origin.test")) as u:
        async with client(certificates.ca_file) as http:
            for expected in (1, 2, 3):
                await http.get(f"https://origin.test:{u.port}/")
                assert len(u.connections) == expected
                async with asyncio.timeout(10):
                    while not u.connections[-1].sock.fileno() < 0:
                        await asyncio.sleep(0.001)
                await asyncio.sleep(0.05)


async def test_plain_http_to_loopback(names: Names) -> None:
    """Stores may be on this machine without TLS."""
    with Origin(answering(ok()), None) as u:
        async with httpx.AsyncClient(
            transport=HttpTransport(client_context(), Resolver()), trust_env=False
        ) as http:
            assert (await http.get(f"http://127.0.0.1:{u.port}/")).content == b"ok"


def silent(c: Connection) -> None:
    c.drain()


@pytest.mark.parametrize("script", [silent])
async def test_silence_ends_in_a_timeout(
    certificates: Certificates, names: Names, script: Script
) -> None:
    """Of the name server, of the handshake and of the reply."""
    with Origin(script, certificates.context("127.0.0.1")) as u:
        async with client(certificates.ca_file, timeout=0.3) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.get(f"https://127.0.0.1:{u.port}/")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with client(certificates.ca_file, timeout=0.3) as http:
            with pytest.raises(httpx.ConnectTimeout):
                await http.get(f"https://127.0.0.1:{mute.getsockname()[1]}/")
    names.answering.clear()
    async with client(certificates.ca_file, timeout=0.3) as http:
        with pytest.raises(httpx.ConnectTimeout):
            await http.get("https://origin.test/")


async def test_failures_name_what_failed(
    origin: Origin, certificates: Certificates, names: Names
) -> None:
    """Their kind, whom they are about, and why."""
    names["other.test"] = ["127.0.0.1"]
    port = origin.port
    told = {
        f"https://other.test:{port}": f"tls: other.test:{port}: Hostname mismatch",
        f"https://no.such.test:{port}": f"dns: no.such.test:{port}: Name or service not known",
        "https://127.0.0.1:1": "connect_refused: 127.0.0.1:1",
    }
    async with client(certificates.ca_file) as http:
        for url, expected in told.items():
            with pytest.raises(httpx.ConnectError) as caught:
                await http.get(url)
            assert str(caught.value).startswith(expected)
    assert origin.received == b""
