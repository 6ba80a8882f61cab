"""Callers known by certificate: real handshakes with right, wrong, expired and foreign ones."""

import http.client
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.certificates import Authority
from tests.support.client_certificates import ClientAuthority, client_context
from tests.support.gateway import eventually, tracebacks
from tests.support.listeners import Site
from tests.support.world import KEY_A, KEY_B, TOK_B

BILLING = "spiffe://prod/ns/billing/sa/billing"


class Secured(NamedTuple):
    """A gateway that speaks TLS, and who vouches for its callers."""

    site: Site
    clients: ClientAuthority

    def context(self, *names: str, ends: timedelta = timedelta(days=1)) -> ssl.SSLContext:
        """A caller with a certificate of these names."""
        return self.with_file(self.clients.certificate(*names, ends=ends))

    def with_file(self, certificate: Path | None) -> ssl.SSLContext:
        """A caller with this certificate, or none."""
        return client_context(self.site.authority.ca_file, certificate)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Two callers known by certificate, one of them by token too; another by its address."""
    directory = tmp_path_factory.mktemp("secured")
    clients = ClientAuthority(directory, "services")
    # The server's certificate is of the origin's authority: one CA for the callers to trust.
    site_directory = directory / "site"
    site_directory.mkdir()
    pem = site_directory / "listener.pem"
    callers = {
        "billing": {"certificates": [BILLING, "billing.internal"]},
        "ledger": {"certificates": ["spiffe://prod/ns/ledger/sa/ledger"]},
        "local": {"networks": ["127.0.0.0/8"], "issuers": [], "tenants": ["acme"]},
    }
    listen = {"tls_certificate": str(pem), "tls_key": str(pem), "client_ca": str(clients.ca_file)}
    site = Site(site_directory, {"listen": listen, "callers": callers})
    pem.write_bytes(site.authority.certificate("localhost").read_bytes())
    with site:
        yield Secured(site, clients)


@pytest.mark.parametrize(
    ("names", "key"),
    [
        ((BILLING,), KEY_A),
        (("billing.internal",), KEY_A),
        ((BILLING, "billing.internal", "spiffe://prod/unknown"), KEY_A),
        (("spiffe://prod/ns/ledger/sa/ledger",), KEY_B),
    ],
)
def test_right_certificates(secured: Secured, names: tuple[str, ...], key: str) -> None:
    """A SPIFFE URI or DNS name of the verified certificate is the caller's identity."""
    secured.site.origin.start_over()
    assert secured.site.over_tls(secured.context(*names), X_Request_Id=names[0]).status == 200
    (seen,) = secured.site.origin.requests
    assert seen.all("authorization") == [f"Bearer {key}"]
    assert secured.site.gateway.exchange(names[0])["by"] == "certificate"


@pytest.mark.parametrize(
    "names",
    [
        ("spiffe://prod/ns/billing/sa/other",),
        (BILLING + "/",),
        (BILLING + "x",),
        (BILLING[:-1],),
        ("SPIFFE://PROD/NS/BILLING/SA/BILLING",),
        ("BILLING.INTERNAL",),
        ("sub.billing.internal",),
        ("*.internal",),
        (BILLING, "spiffe://prod/ns/ledger/sa/ledger"),
        (),
    ],
    ids=str,
)
def test_certificates_of_nobody(secured: Secured, names: tuple[str, ...]) -> None:
    """Verified, but not exactly one caller's: 403, though the address alone would do."""
    secured.site.origin.start_over()
    reply = secured.site.over_tls(secured.context(*names))
    assert (reply.status, reply.get("x-gateway-error")) == (403, "caller_unknown")
    assert not secured.site.origin.requests


def test_the_common_name_is_no_identity(secured: Secured) -> None:
    """Only SANs count (RFC 6125 6.4.4)."""
    certificate = secured.clients.certificate(common_name="billing.internal")
    assert secured.site.over_tls(secured.with_file(certificate)).status == 403


def test_no_certificate(secured: Secured) -> None:
    """Then whatever else says who calls: a token, the address; never a header."""
    bare = secured.with_file(None)
    assert secured.site.over_tls(bare).status == 200
    assert secured.site.over_tls(bare, Authorization=f"Bearer {TOK_B}").status == 200
    forged = {"X_Forwarded_Client_Cert": f"URI={BILLING}", "X_SSL_Client_Verify": "SUCCESS"}
    secured.site.origin.start_over()
    assert secured.site.over_tls(bare, X_Request_Id="forged-cert", **forged).status == 200
    assert secured.site.gateway.exchange("forged-cert")["caller"] == "local"
    (seen,) = secured.site.origin.requests
    assert not [name for name, _ in seen.headers if "cert" in name or "ssl" in name]


def test_a_credential_comes_first(secured: Secured) -> None:
    """A right token is the caller, whatever the certificate; a wrong one is 401."""
    context = secured.context(BILLING)
    secured.site.origin.start_over()
    assert secured.site.over_tls(context, Authorization=f"Bearer {TOK_B}").status == 200
    assert secured.site.origin.requests[0].all("authorization") == [f"Bearer {KEY_B}"]
    assert secured.site.over_tls(context, Authorization="Bearer wrong").status == 401


def test_no_web_pages_are_feared(secured: Secured) -> None:
    """A certificate is no ambient address: `Origin` is no reason to refuse it."""
    context = secured.context(BILLING)
    assert secured.site.over_tls(context, Origin="https://evil").status == 200


def test_bad_certificates(secured: Secured, tmp_path: Path) -> None:
    """Expired, of a foreign authority or of one of the same name: no request is even read."""
    foreign = ClientAuthority(tmp_path, "foreign")
    impostor = ClientAuthority(tmp_path, "services")
    bad = [
        secured.context(BILLING, ends=timedelta(days=-1)),
        secured.with_file(foreign.certificate(BILLING)),
        secured.with_file(impostor.certificate(BILLING)),
        # The listener's own certificate is no client's.
        secured.with_file(secured.site.gateway.directory / "listener.pem"),
    ]
    secured.site.origin.start_over()
    for context in bad:
        with pytest.raises(OSError):
            secured.site.over_tls(context)
    assert not secured.site.origin.requests
    assert secured.site.over_tls(secured.context(BILLING)).status == 200
    assert not tracebacks(secured.site.gateway.lines())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_expired_while_the_session_lives(secured: Secured, version: ssl.TLSVersion) -> None:
    """TLS verifies it once; we go on: its caller is nobody then, on connections old and new."""
    context = secured.context(BILLING, ends=timedelta(seconds=3))
    context.minimum_version = context.maximum_version = version
    kept = http.client.HTTPSConnection(
        "localhost", secured.site.gateway.port, context=context, timeout=5
    )
    assert _status(kept) == 200
    status, session = _resumed(secured.site, context, None)
    assert status == b"200"
    eventually(lambda: _resumed(secured.site, context, session)[0] == b"403")
    assert _status(kept) == 403
    kept.close()
    with pytest.raises(OSError):
        secured.site.over_tls(context)


def _status(connection: http.client.HTTPConnection) -> int:
    """What another request on this connection is answered."""
    connection.request("GET", "/x")
    with connection.getresponse() as reply:
        reply.read()
        return reply.status


def _resumed(
    site: Site, context: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bytes, ssl.SSLSession | None]:
    """The status of a request on a new connection, and the session that it leaves behind."""
    plain = socket.create_connection(("127.0.0.1", site.gateway.port), 5)
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as wire:
        wire.sendall(b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n")
        status = wire.recv(4096)[9:12]
        assert wire.session_reused == (session is not None)
        return status, wire.session


def test_plain_text_and_old_versions(secured: Secured) -> None:
    """The port serves TLS 1.2 and later; others read why not, and the operator is told."""
    old = secured.context(BILLING)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        secured.site.over_tls(old)
    with socket.create_connection(("127.0.0.1", secured.site.gateway.port), 5) as plain:
        plain.sendall(b"GET /x HTTP/1.1\r\nHost: gw\r\n\r\n")
        assert b"use https://" in read_to_end(plain)
    gateway = secured.site.gateway
    reasons = {"protocol_version", "http_request"}
    events = gateway.events
    eventually(lambda: reasons <= {line["reason"] for line in events("tls_handshake_failed")})
    assert {line["peer"] for line in events("tls_handshake_failed")} == {"127.0.0.1"}
    for reason in reasons:
        labels = {"listener": "callers", "reason": reason}
        assert gateway.metric("tls_handshake_failures_total", **labels) == 1


def read_to_end(sock: socket.socket) -> bytes:
    """All that comes until the other side has ended."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def test_the_listeners_certificate_has_its_end_in_the_metrics(secured: Secured) -> None:
    """In seconds since 1970, so that an alert can come in time."""
    ends = secured.site.gateway.metric("certificate_expiry_timestamp_seconds", listener="callers")
    assert time.time() < ends < time.time() + 400 * 86400


def _ask(connection: http.client.HTTPSConnection) -> bytes:
    """A reply's body."""
    connection.request("GET", "/x")
    return connection.getresponse().read()


def test_reload(tmp_path: Path) -> None:
    """Certificate, key and CA are read again when they change.

    A caller of an authority that was taken away is refused from then on, also on a connection
    that is open; with another certificate of ours those go on. A file that cannot be used is
    refused, and the old one stays.
    """
    first, second = ClientAuthority(tmp_path, "first"), ClientAuthority(tmp_path, "second")
    ours = Authority(tmp_path, "listener-ca")
    pem, ca = tmp_path / "listener.pem", tmp_path / "client-ca.pem"
    pem.write_bytes(ours.certificate("localhost").read_bytes())
    ca.write_bytes(first.ca_file.read_bytes())
    listen = {"tls_certificate": str(pem), "tls_key": str(pem), "client_ca": str(ca)}
    directory = tmp_path / "site"
    directory.mkdir()
    old, new = (
        client_context(ours.ca_file, authority.certificate(BILLING))
        for authority in (first, second)
    )
    with Site(
        directory, {"listen": listen, "callers": {"billing": {"certificates": [BILLING]}}}
    ) as site:

        def serves(context: ssl.SSLContext) -> bool:
            try:
                return site.over_tls(context).status == 200
            except OSError:
                return False

        assert (serves(old), serves(new)) == (True, False)
        kept = http.client.HTTPSConnection("localhost", site.gateway.port, context=old, timeout=5)
        assert _ask(kept)

        ca.write_bytes(second.ca_file.read_bytes())
        eventually(lambda: serves(new))
        assert not serves(old)
        with pytest.raises(OSError):
            _ask(kept)
        kept.close()

        kept = http.client.HTTPSConnection("localhost", site.gateway.port, context=new, timeout=5)
        assert _ask(kept)
        pem.write_bytes(ours.certificate("localhost", "gateway.internal").read_bytes())
        eventually(lambda: "gateway.internal" in _names_shown(site, new))
        assert not site.gateway.told("config_reload")[-1].get("restart_required")
        assert _ask(kept)
        kept.close()

        pem.write_text("torn")
        eventually(lambda: site.gateway.events("config_reload")[-1]["outcome"] == "failure")
        assert "listen.tls_certificate" in str(site.gateway.events("config_reload")[-1])
        assert serves(new)
        assert site.gateway.stop() == 0


def _names_shown(site: Site, context: ssl.SSLContext) -> str:
    """The names in the certificate that the listener shows to new connections."""
    address = ("127.0.0.1", site.gateway.port)
    with (
        socket.create_connection(address, 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as session,
    ):
        return str((session.getpeercert() or {}).get("subjectAltName"))
