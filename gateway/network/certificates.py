"""Certificates as data: what a PEM file holds (how many, whose, until when), and parts to make one.

Rule: reads bytes it is given; trusts and verifies nothing.
"""

import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.x509 import (
    Certificate,
    DNSName,
    ExtensionNotFound,
    GeneralName,
    IPAddress,
    KeyUsage,
    NameConstraints,
    load_pem_x509_certificates,
)


class CertificateInfo(NamedTuple):
    """One certificate. `ends` is in seconds since 1970; a root is its own issuer."""

    name: str
    ends: float
    root: bool


def read_certificates(pem: bytes) -> Sequence[CertificateInfo]:
    """The certificates of a PEM file, in order. Raises ValueError for none, or a bad one."""
    return [_info(certificate) for certificate in load_pem_x509_certificates(pem)]


def permitted_hosts(pem: bytes) -> frozenset[str] | None:
    """The hosts that a CA, the first certificate, may sign for; None if it may for any.

    Raises ValueError. A name that is permitted covers all names below it (RFC 5280 4.2.1.10).
    """
    extensions = load_pem_x509_certificates(pem)[0].extensions
    try:
        permitted = extensions.get_extension_for_class(NameConstraints).value.permitted_subtrees
    except ExtensionNotFound:
        return None
    names = (name for name in permitted or () if isinstance(name, DNSName | IPAddress))
    return frozenset(str(name.value) for name in names) or None


def earliest_end(pem: bytes) -> float:
    """When the first of them expires, in seconds since 1970. Raises ValueError."""
    return min(certificate.ends for certificate in read_certificates(pem))


def general_name(host: str) -> GeneralName:
    """A host name or address as certificates have it."""
    try:
        return IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return DNSName(host)


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> KeyUsage:
    """What a key is for: nothing but this (RFC 5280 4.2.1.3)."""
    return KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _info(certificate: Certificate) -> CertificateInfo:
    return CertificateInfo(
        certificate.subject.rfc4514_string(),
        certificate.not_valid_after_utc.timestamp(),
        certificate.issuer == certificate.subject,
    )
