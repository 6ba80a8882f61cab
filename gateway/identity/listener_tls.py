"""The callers' listener over TLS: its certificate, and the CA of client certificates.

Rule: an unusable file is a `ConfigurationError` that names its setting; a change makes a new
context, because the old one would go on trusting a CA that was removed.
"""

import hashlib
import ssl
from math import inf
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from gateway.errors import refused
from gateway.network.certificates import earliest_end
from gateway.network.server_tls import ServerContext
from gateway.settings.schema import ListenSettings, Settings
from gateway.settings.wording import shown_path


class Renew(Protocol):
    """Applies settings, and another certificate if there is one, to new connections.

    With `retire`, open connections accept no further request.
    """

    async def __call__(
        self, settings: Settings, tls: ssl.SSLContext | None, /, *, retire: bool
    ) -> None: ...


class ListenerTls(NamedTuple):
    """The listener's TLS context. `digest` and `ca` change with the content of the files.

    `expires_at` is when the first certificate of the chain does, in seconds since 1970.
    """

    context: ssl.SSLContext
    digest: bytes
    ca: bytes
    expires_at: float


def listener_tls(listen: ListenSettings) -> ListenerTls | None:
    """TLS 1.2 or later; a client certificate, if one is sent, must be issued by `client_ca`."""
    if listen.tls_certificate is None:
        return None
    context = ServerContext()
    certificate, key = listen.tls_certificate, listen.tls_key or listen.tls_certificate
    try:
        # Before loading: a change in between is then seen as one by the next reload.
        digest = _digest(certificate) + _digest(key)
        # An encrypted key fails, as nobody is there to be asked for its password.
        context.load_cert_chain(certificate, key, password="")
        expires_at = _expires_at(certificate)
    except OSError:
        raise refused("", *_fault(certificate, key)) from None
    if listen.client_ca is None:
        return ListenerTls(context, digest, b"", expires_at)
    try:
        ca = _digest(listen.client_ca)
        context.load_verify_locations(listen.client_ca)
    except OSError as error:
        found = _unread(listen.client_ca, error)
        raise refused("", "listen.client_ca", found, "CA certificates in PEM") from None
    context.verify_mode = ssl.CERT_OPTIONAL
    return ListenerTls(context, digest, ca, expires_at)


class CurrentListenerTls:
    """The TLS in use. To turn TLS on or off takes a restart."""

    def __init__(self, current: ListenerTls | None) -> None:
        self.current = current
        self._renew: Renew | None = None

    def expires_at(self) -> float:
        """When the certificate in use does, in seconds since 1970; 0 without one."""
        return self.current.expires_at if self.current is not None else 0.0

    def on_bound(self, renew: Renew) -> None:
        """Registers how the bound listeners are given other settings and another certificate."""
        self._renew = renew

    async def apply(self, settings: Settings, new: ListenerTls | None) -> None:
        """Applies these settings to new connections, and `new`, if it differs.

        If `client_ca` changed, clients that are connected have to connect again.
        """
        context, retire = None, False
        old = self.current
        if new is not None and old is not None and (new.digest, new.ca) != (old.digest, old.ca):
            self.current, context, retire = new, new.context, new.ca != old.ca
        if self._renew is not None:
            await self._renew(settings, context, retire=retire)


def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


def _expires_at(certificate: Path) -> float:
    """When the chain does; never, of one that only OpenSSL can read."""
    try:
        return earliest_end(certificate.read_bytes())
    except ValueError:
        return inf


def _fault(certificate: Path, key: Path) -> tuple[str, str, str]:
    """Which of the two files cannot be used, and why: OpenSSL does not say."""
    name, file, expected = "listen.tls_certificate", certificate, "a chain of certificates in PEM"
    try:
        load_pem_x509_certificates(certificate.read_bytes())
        name, file, expected = "listen.tls_key", key, "the certificate's private key in PEM"
        load_pem_private_key(key.read_bytes(), None)
    except TypeError:
        return name, f"{file}: a key with a password", f"{expected}, without a password"
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        return name, _unread(file, error), expected
    found = f"{shown_path(file)}: not the key of {shown_path(certificate)}, or too weak"
    return name, found, expected


def _unread(file: Path, error: Exception) -> str:
    system = isinstance(error, OSError) and not isinstance(error, ssl.SSLError)
    reason = getattr(error, "strerror", None) if system else "no usable content"
    return f"{shown_path(file)}: {reason}"
