"""The one policy for every TLS connection that goes out."""

import datetime
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.network.tls import client_context, server_name
from tests.support.certificates import Certificates

STRICT = ssl.VerifyFlags.VERIFY_X509_STRICT


def shakes(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> bool:
    """Whether a client comes to terms with a server, in memory."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (near, far):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError:
                return False
    return near.version() is not None


@pytest.fixture
def root() -> trustme.CA:
    return trustme.CA()


def test_an_intermediate_is_an_anchor(root: trustme.CA, tmp_path: Path) -> None:
    """A CA file may hold the authority that issues, without the one above it."""
    intermediate = root.create_child_ca()
    server = Certificates.serving(intermediate.issue_cert("localhost"))
    anchor = tmp_path / "intermediate.pem"
    anchor.write_bytes(intermediate.cert_pem.bytes())
    assert shakes(client_context(anchor, ca_only=True), server)
    stranger = trustme.CA()
    stranger.cert_pem.write_to_path(anchor)
    assert not shakes(client_context(anchor, ca_only=True), server)


def test_a_private_authority_need_not_be_strictly_rfc_5280(tmp_path: Path) -> None:
    """One CA file works for all connections, on every Python: 3.13's defaults refuse this one."""
    server = lax_server(tmp_path / "ca.pem", tmp_path / "leaf.pem")
    context = client_context(tmp_path / "ca.pem", ca_only=True)
    assert not context.verify_flags & STRICT
    assert shakes(context, server)
    context.verify_flags |= STRICT
    assert not shakes(context, server)


def lax_server(ca_file: Path, leaf_file: Path) -> ssl.SSLContext:
    """A server whose CA has no key usage, and whose certificate no authority key identifier."""
    now = datetime.datetime.now(datetime.UTC)
    ca_key, leaf_key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old authority")])
    builder = x509.CertificateBuilder().not_valid_before(now - datetime.timedelta(1))
    builder = builder.not_valid_after(now + datetime.timedelta(1)).issuer_name(ca_name)
    ca = builder.subject_name(ca_name).serial_number(1).public_key(ca_key.public_key())
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
    leaf = builder.subject_name(x509.Name([])).serial_number(2).public_key(leaf_key.public_key())
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    leaf = leaf.add_extension(names, critical=True)
    pem = serialization.Encoding.PEM
    ca_file.write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    private = leaf_key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    leaf_file.write_bytes(private + leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(leaf_file)
    return server


def test_the_host_name_is_always_checked(root: trustme.CA, tmp_path: Path) -> None:
    """And only names in subjectAltName count (RFC 9110 4.3.4)."""
    root.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = client_context(tmp_path / "ca.pem", ca_only=True)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not shakes(context, Certificates.serving(root.issue_cert("other.test")))
    assert not shakes(context, Certificates.serving(root.issue_cert(common_name="localhost")))


def test_the_system_is_trusted_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SSL_CERT_FILE` stands for the system; where that has nothing at all, certifi does."""
    root, other = trustme.CA(), trustme.CA()
    system, own = tmp_path / "system.pem", tmp_path / "own.pem"
    root.cert_pem.write_to_path(str(system))
    other.cert_pem.write_to_path(str(own))
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    by_root = Certificates.serving(root.issue_cert("localhost"))
    by_other = Certificates.serving(other.issue_cert("localhost"))
    trusted = [client_context(), client_context(own), client_context(own, ca_only=True)]
    assert [shakes(context, by_root) for context in trusted] == [True, True, False]
    assert [shakes(context, by_other) for context in trusted] == [False, True, True]
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    for directory in ("none", "empty"):
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / directory))
        assert len(client_context().get_ca_certs()) > 50


def test_only_one_anchor_needs_that_anchor() -> None:
    """A mistake in the code must not end in trusting everybody, or nobody."""
    with pytest.raises(ValueError, match="ca_file"):
        client_context(ca_only=True)


@pytest.mark.parametrize(
    ("host", "name"), [("a.test.", "a.test"), ("a.test", "a.test"), ("::1", "::1")]
)
def test_a_servers_name_has_no_final_dot(host: str, name: str) -> None:
    """RFC 6066 3."""
    assert server_name(host) == name
