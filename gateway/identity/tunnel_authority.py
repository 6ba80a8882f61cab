"""The authority that signs for Invopop's hosts in tunnels: a short-lived certificate for each name.

Rule: signs only for the host that it is asked for; private keys of leaves are never on a disk.
"""

import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import time
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.errors import Problem
from gateway.network.certificates import general_name, key_usage
from gateway.network.server_tls import ServerContext
from gateway.settings.schema import TunnelSettings
from gateway.settings.wording import shown_path

LIFE: Final = timedelta(hours=24)
RENEWED: Final = 0.5  # of its life has passed when another one takes a leaf's place
_EARLIER: Final = timedelta(hours=1)  # clocks of callers may be behind
_LONGEST_CN: Final = 64  # RFC 5280 ub-common-name

_EXPECTED: Final = "a CA certificate in PEM, such as `invopop-gateway tunnel-ca` makes"

_SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_Ours = tuple[ssl.SSLContext, float]  # a leaf in use, and when it is renewed (Unix time)


class TunnelAuthority:
    """`[tunnel]`: the CA's chain, its own certificate first, and its key."""

    def __init__(self, chain: list[x509.Certificate], key: _SigningKey) -> None:
        self._chain = chain
        self._key = key
        self._clock: Callable[[], float] = time
        self._leaves: dict[str, _Ours] = {}

    @property
    def expires_at(self) -> float:
        """When the CA's certificate ends, in seconds since 1970."""
        return self._chain[0].not_valid_after_utc.timestamp()

    def context(self, host: str) -> ssl.SSLContext:
        """TLS for that host name or address, and for no other; made on first use, then kept."""
        leaf = self._leaves.get(host)
        if leaf is None or self._clock() >= leaf[1]:
            leaf = self._leaves[host] = self._made(host)
        return leaf[0]

    def _made(self, host: str) -> _Ours:
        now = datetime.now(UTC)
        ends = min(now + LIFE, self._chain[0].not_valid_after_utc)
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._signed(host, key.public_key(), now - _EARLIER, ends)
        context = ServerContext()
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, *self._chain))
        _load(context, pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        context.sni_callback = _only(host)
        return context, (now + (ends - now) * RENEWED).timestamp()

    def _signed(
        self, host: str, public: ec.EllipticCurvePublicKey, starts: datetime, ends: datetime
    ) -> x509.Certificate:
        issuer = self._chain[0]
        alternative = general_name(host)
        named: list[x509.NameAttribute[str]] = []
        # Of an address it would be taken for a host name, which the CA may not sign.
        if isinstance(alternative, x509.DNSName) and len(host) <= _LONGEST_CN:
            named.append(x509.NameAttribute(NameOID.COMMON_NAME, host))
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(named))
            .issuer_name(issuer.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(starts, issuer.not_valid_before_utc))
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=not named)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(_authority_key(issuer), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


def tunnel_authority(settings: TunnelSettings) -> tuple[TunnelAuthority | None, list[Problem]]:
    """The authority of `[tunnel]`, None without one; and why its files cannot be used."""
    if settings.certificate is None or settings.key is None:
        return None, []
    file, name, expected = settings.certificate, "certificate", _EXPECTED
    try:
        chain = x509.load_pem_x509_certificates(file.read_bytes())
        if not _may_sign(chain[0]):
            return None, [
                _wrong(name, f"{shown_path(file)}: not the certificate of a CA", expected)
            ]
        if chain[0].not_valid_after_utc <= datetime.now(UTC):
            return None, [
                _wrong(name, f"{shown_path(file)}: a certificate that has expired", expected)
            ]
        file, name, expected = settings.key, "key", "the certificate's private key in PEM"
        key = load_pem_private_key(file.read_bytes(), None)
    except TypeError:
        return None, [_wrong(name, f"{shown_path(file)}: a key with a password", expected)]
    except OSError as error:
        return None, [_wrong(name, f"{shown_path(file)}: {error.strerror}", expected)]
    except (ValueError, UnsupportedAlgorithm):
        return None, [_wrong(name, f"{shown_path(file)}: no usable content", expected)]
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return None, [_wrong(name, f"{shown_path(file)}: neither an EC nor an RSA key", expected)]
    if _public(key) != _public(chain[0]):
        found = f"{shown_path(file)}: not the key of {shown_path(settings.certificate)}"
        return None, [_wrong(name, found, expected)]
    return TunnelAuthority(chain, key), []


def _only(host: str) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
    """Refuses every other server name (RFC 6066 3); none is sent for an address."""
    expected = host if isinstance(general_name(host), x509.DNSName) else None

    def check(_: ssl.SSLObject, name: str | None, __: ssl.SSLContext) -> int | None:
        shown = name.lower().removesuffix(".") if name is not None else None
        return None if shown == expected else int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)

    return check


def _load(context: ssl.SSLContext, pem: bytes) -> None:
    """Loads chain and key from memory: OpenSSL's interface here takes the path of a file only."""
    descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return basic.value.ca


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        known = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        public = issuer.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)  # noqa: S101 - as the key
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known.value)


def _public(owner: _SigningKey | x509.Certificate) -> bytes:
    return owner.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _wrong(name: str, found: str, expected: str) -> Problem:
    return Problem("", f"tunnel.{name}", found, expected)
