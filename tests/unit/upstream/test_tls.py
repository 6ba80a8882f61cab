"""TLS to the upstream: verified always, and nothing is sent to a peer that fails."""

import datetime
import socket
import ssl
import threading
from collections.abc import Callable

import pytest
import trustme

from gateway.errors import UpstreamError
from gateway.events import Event, UpstreamConnected
from gateway.network.tls import client_context
from gateway.upstream.transport import Transport
from tests.support.certificates import Certificates
from tests.support.origin import Connection, Origin, Script, answering, ok
from tests.support.outbound import fetch, request

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]
DAY = datetime.timedelta(days=1)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


BAD: dict[str, Callable[[Certificates], trustme.LeafCert]] = {
    "unknown authority": lambda _: trustme.CA().issue_cert("localhost"),
    "wrong name": lambda c: c.ca.issue_cert("other.test"),
    "address only": lambda c: c.ca.issue_cert("127.0.0.1"),
    "expired": lambda c: c.ca.issue_cert(
        "localhost", not_before=now() - 2 * DAY, not_after=now() - DAY
    ),
    "not yet valid": lambda c: c.ca.issue_cert(
        "localhost", not_before=now() + DAY, not_after=now() + 2 * DAY
    ),
    "common name only": lambda c: c.ca.issue_cert(common_name="localhost"),
}


@pytest.mark.parametrize("fault", BAD)
async def test_verification(
    certificates: Certificates, transport: Transports, events: list[Event], fault: str
) -> None:
    """Case 137: 502, zero application bytes."""
    context = Certificates.serving(BAD[fault](certificates))
    with Origin(answering(ok()), context) as u:
        t = transport()
        with pytest.raises(UpstreamError) as caught:
            await fetch(t, request(u.url))
        assert (caught.value.key, caught.value.kind) == ("upstream_tls_error", "tls")
        assert not caught.value.sent
        assert u.received == b""
        assert events == [UpstreamConnected("tls")]
        assert t.pools[0].active == 0


async def test_sni_and_alpn(origin: Origins, transport: Transports) -> None:
    """Case 138: the upstream's own name, and http/1.1 only."""
    u = origin(answering(ok()))
    await fetch(transport(), request(u.url))
    assert (u.connections[0].sni, u.connections[0].alpn) == ("localhost", "http/1.1")


async def test_addresses_are_verified_as_addresses(
    certificates: Certificates, transport: Transports
) -> None:
    """RFC 9110 4.3.5: an IP address needs an IP address in the certificate."""
    with Origin(answering(ok()), certificates.context("127.0.0.1")) as u:
        assert await fetch(transport(), request(f"https://127.0.0.1:{u.port}")) == (200, b"ok")


@pytest.mark.filterwarnings("ignore:.*TLSVersion.TLSv1.* is deprecated:DeprecationWarning")
async def test_old_versions_are_refused(certificates: Certificates, transport: Transports) -> None:
    """Case 140: TLS 1.1 and older do not connect."""
    context = certificates.context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with Origin(answering(ok()), context) as u:
        with pytest.raises(UpstreamError) as caught:
            await fetch(transport(), request(u.url))
        assert caught.value.kind == "tls"


async def test_tls_12_is_spoken(certificates: Certificates, transport: Transports) -> None:
    """Case 140: 1.2 is the floor, not below it."""
    context = certificates.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Origin(answering(ok()), context) as u:
        t = transport()
        for _ in range(2):
            assert await fetch(t, request(u.url)) == (200, b"ok")
        assert len(u.connections) == 1


async def test_garbage_within_the_stream_is_an_error(
    origin: Origins, transport: Transports
) -> None:
    """Case 140: a broken record in mid-body is no end of the body."""

    def garbled(c: Connection) -> None:
        c.request()
        c.send(b"HTTP/1.1 200 OK\r\n\r\npart")
        assert isinstance(c.sock, ssl.SSLSocket)
        with socket.socket(fileno=c.sock.detach()) as plain:
            plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))

    with pytest.raises(UpstreamError) as caught:
        await fetch(transport(), request(origin(garbled).url))
    assert (caught.value.key, caught.value.kind) == ("upstream_tls_error", "tls")


async def test_a_handshake_that_stalls(transport: Transports) -> None:
    """Case 141: 504 within the connect timeout, which covers TLS too."""
    over = threading.Event()

    def silent(_: Connection) -> None:
        over.wait(10)

    with Origin(silent, None) as u:
        t = transport()
        with pytest.raises(UpstreamError) as caught:
            await fetch(t, request(u.url, connect=0.1))
        over.set()
        assert (caught.value.key, caught.value.kind) == ("upstream_timeout", "connect_timeout")
        assert not caught.value.sent
        assert t.pools[0].active == 0


@pytest.mark.parametrize("goodbye", [b"", b"HTTP/1.1 400 X\r\n\r\n"])
async def test_a_peer_that_speaks_no_tls(transport: Transports, goodbye: bytes) -> None:
    """Case 141: plain HTTP on that port, or an end in mid-handshake, is a TLS error."""
    with Origin(lambda c: c.send(goodbye), None) as u:
        with pytest.raises(UpstreamError) as caught:
            await fetch(transport(), request(u.url))
        assert (caught.value.kind, caught.value.sent) == ("tls", False)


async def test_the_system_trusts_no_private_authority(
    certificates: Certificates, origin: Origins
) -> None:
    """A ca_file adds to the system's authorities; without it the private one is unknown."""
    u = origin(answering(ok()))
    for context, good in ((client_context(), False), (client_context(certificates.ca_file), True)):
        t = Transport(context, lambda _: None)
        if good:
            assert await fetch(t, request(u.url)) == (200, b"ok")
        else:
            with pytest.raises(UpstreamError):
                await fetch(t, request(u.url))
        await t.aclose()


def test_no_context_without_verification(certificates: Certificates) -> None:
    """There is no option that turns it off."""
    for context in (client_context(), client_context(certificates.ca_file, ca_only=True)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
    assert len(client_context(certificates.ca_file, ca_only=True).get_ca_certs()) == 1
    with pytest.raises(ValueError, match="ca_only"):
        client_context(ca_only=True)
