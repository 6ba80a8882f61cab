"""What a PEM file of certificates holds, for operators: how many, whose, and until when.

Rule: reads bytes it is given; trusts and verifies nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from cryptography.x509 import Certificate, load_pem_x509_certificates


class CertificateInfo(NamedTuple):
    """One certificate. `ends` is in seconds since 1970; a root is its own issuer."""

    name: str
    ends: float
    root: bool


def read_certificates(pem: bytes) -> Sequence[CertificateInfo]:
    """The certificates of a PEM file, in order. Raises ValueError for none, or a bad one."""
    return [_info(certificate) for certificate in load_pem_x509_certificates(pem)]


def earliest_end(pem: bytes) -> float:
    """When the first of them expires, in seconds since 1970. Raises ValueError."""
    return min(certificate.ends for certificate in read_certificates(pem))


def _info(certificate: Certificate) -> CertificateInfo:
    return CertificateInfo(
        certificate.subject.rfc4514_string(),
        certificate.not_valid_after_utc.timestamp(),
        certificate.issuer == certificate.subject,
    )
