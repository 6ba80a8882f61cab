"""Certificates that services show: SPIFFE URIs and DNS names, of any time and any authority."""

import ssl
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


class ClientAuthority:
    """Issues client certificates; its own is in `ca_file`."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._serial = count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        own = self._builder(name, self._key.public_key(), timedelta(days=1))
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        signed = own.sign(self._key, hashes.SHA256())
        self.ca_file = directory / f"{name}.pem"
        self.ca_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def certificate(
        self, *names: str, ends: timedelta = timedelta(days=1), common_name: str = "service"
    ) -> Path:
        """One PEM file with a certificate for these URIs and DNS names, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(common_name, key.public_key(), ends)
        if names:
            sans = [
                x509.UniformResourceIdentifier(n) if ":" in n else x509.DNSName(n) for n in names
            ]
            made = made.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        signed = made.sign(self._key, hashes.SHA256())
        path = self._directory / f"{self._name}-client-{next(self._serial)}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def _builder(
        self, name: str, key: ec.EllipticCurvePublicKey, ends: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + ends)
        )


def client_context(server_ca: Path, certificate: Path | None) -> ssl.SSLContext:
    """A caller's side: it verifies the gateway, and shows the certificate if there is one."""
    context = ssl.create_default_context(cafile=server_ca)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context
