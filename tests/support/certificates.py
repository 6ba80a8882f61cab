"""Throw-away certificate authorities and the certificates, good and bad, that tests show."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import trustme

VALIDITY = timedelta(days=30)


class Authority:
    """A CA of the tests' own, with its certificate in `ca_file` (PEM)."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._ca = trustme.CA()
        self._directory = directory
        self._name = name
        self._serial = count(1)
        self.ca_file = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def certificate(
        self,
        *identities: str,
        common_name: str | None = None,
        starts: timedelta = -VALIDITY,
        ends: timedelta = VALIDITY,
    ) -> Path:
        """One PEM file with a leaf for `identities` (DNS names, addresses or URIs), and its key.

        `starts` and `ends` count from now: a negative `ends` has expired, a positive `starts`
        is not valid yet. Without identities the certificate has only its `common_name`.
        """
        now = datetime.now(UTC)
        leaf = self._ca.issue_cert(
            *identities, common_name=common_name, not_before=now + starts, not_after=now + ends
        )
        path = self._directory / f"{self._name}-leaf-{next(self._serial)}.pem"
        leaf.private_key_and_cert_chain_pem.write_to_path(str(path))
        return path


class Certificates:
    """A private certificate authority; its certificate lies in `ca_file`."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)

    def context(self, *names: str) -> ssl.SSLContext:
        """A server's TLS context with a certificate for these names (default: localhost)."""
        return self.serving(self.ca.issue_cert(*(names or ("localhost", "127.0.0.1", "::1"))))

    @staticmethod
    def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
        """A server's TLS context with that certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        return context


def server_context(pem: Path) -> ssl.SSLContext:
    """A TLS server's context for one PEM file with chain and key; ALPN offers http/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.set_alpn_protocols(["http/1.1"])
    return context


def accept_tls(context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
    """TLS on a connection just accepted. Raises `OSError`, also where the peer has left already.

    CPython leaves a socket open that it is to wrap once its peer has reset it.
    """
    connection.getpeername()
    return context.wrap_socket(connection, server_side=True)
