"""The callers' listener over TLS: its certificate, and the CA that vouches for theirs.

Law: what cannot be used is a `ConfigurationError` that names its key; a change makes a new context,
because one that is in use would go on trusting what was taken away.
"""

import hashlib
import ssl
from pathlib import Path
from typing import NamedTuple, Protocol

from gateway.errors import ConfigurationError, Problem
from gateway.settings.schema import Listen, Settings


class Renew(Protocol):
    """Takes up settings, and another certificate if there is one.

    With `retire` connections that are open take no further request.
    """

    async def __call__(
        self, settings: Settings, tls: ssl.SSLContext | None, /, *, retire: bool
    ) -> None: ...


class ListenerTls(NamedTuple):
    """How callers meet us. `digest` and `ca` tell whether the files' content has changed."""

    context: ssl.SSLContext
    digest: bytes
    ca: bytes


def listener_tls(listen: Listen) -> ListenerTls | None:
    """TLS 1.2 or later; a client certificate, if one is shown, must be from `client_ca`."""
    if listen.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # First: what changes in between is loaded again, not taken for what was loaded.
        digest = _digest(listen.tls_certificate) + _digest(listen.tls_key or listen.tls_certificate)
        # An encrypted key fails, as nobody is there to be asked for its password.
        context.load_cert_chain(listen.tls_certificate, listen.tls_key, password="")
    except OSError as error:
        raise _refused("listen.tls_certificate", error, "a chain and its key") from None
    if listen.client_ca is None:
        return ListenerTls(context, digest, b"")
    try:
        ca = _digest(listen.client_ca)
        context.load_verify_locations(listen.client_ca)
    except OSError as error:
        raise _refused("listen.client_ca", error, "CA certificates") from None
    context.verify_mode = ssl.CERT_OPTIONAL
    return ListenerTls(context, digest, ca)


class TlsInForce:
    """What callers meet now. To begin with TLS, or to end with it, takes a restart."""

    def __init__(self) -> None:
        self.current: ListenerTls | None = None
        self._renew: Renew | None = None

    def on_bound(self, renew: Renew) -> None:
        """What lets the listeners take up other settings and another certificate, from now on."""
        self._renew = renew

    async def take(self, settings: Settings, new: ListenerTls | None) -> None:
        """Has what arrives from now on meet these settings, and `new`, if it differs.

        Who was let in on the word of a CA that is no longer the same has to come again.
        """
        context, retire = None, False
        old = self.current
        if new is not None and old is not None and (new.digest, new.ca) != (old.digest, old.ca):
            self.current, context, retire = new, new.context, new.ca != old.ca
        if self._renew is not None:
            await self._renew(settings, context, retire=retire)


def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


def _refused(key: str, error: OSError, expected: str) -> ConfigurationError:
    found = error.strerror or type(error).__name__
    return ConfigurationError([Problem("", key, found, expected)])
