"""What a PEM file of certificates holds."""

import datetime

import pytest
import trustme

from gateway.network.certificates import earliest_end, read_certificates

BAD = b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


def test_each_certificate_is_told() -> None:
    """In order, with its end, and whether it is its own issuer."""
    root = trustme.CA()
    inner = root.create_child_ca()
    pem = inner.cert_pem.bytes() + root.cert_pem.bytes()
    assert [one.root for one in read_certificates(pem)] == [False, True]
    assert all("trustme" in one.name for one in read_certificates(pem))


def test_the_first_to_end_counts() -> None:
    """A chain is worth nothing once any of it has expired."""
    ends = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(3)
    root = trustme.CA()
    leaf = root.issue_cert("a.test", not_after=ends).cert_chain_pems[0].bytes()
    assert earliest_end(root.cert_pem.bytes() + leaf) == ends.timestamp()


@pytest.mark.parametrize("pem", [b"", b"hello", BAD])
def test_what_holds_none_is_an_error(pem: bytes) -> None:
    """As it is where the file is to be used."""
    with pytest.raises(ValueError, match=r"."):
        read_certificates(pem)
