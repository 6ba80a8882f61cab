"""The CA of tunnels: what it signs, for whom clients believe it, and which files are refused."""

import ssl
import time
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from gateway.cli.tunnel_ca import new_authority
from gateway.identity import tunnel_authority as module
from gateway.identity.tunnel_authority import TunnelAuthority, tunnel_authority
from gateway.settings.schema import TunnelSettings

API = "api.invopop.com"


def written(directory: Path, certificate: bytes, key: bytes) -> TunnelSettings:
    (directory / "ca.pem").write_bytes(certificate)
    (directory / "key.pem").write_bytes(key)
    return TunnelSettings(certificate=directory / "ca.pem", key=directory / "key.pem")


def authority(directory: Path, *hosts: str) -> TunnelAuthority:
    made, problems = tunnel_authority(written(directory, *new_authority(hosts)))
    assert made is not None, problems
    return made


def shaken(context: ssl.SSLContext, ca: Path, name: str) -> x509.Certificate:
    """The certificate that a client which trusts the CA gets to see for this name."""
    trusting = ssl.create_default_context(cafile=str(ca))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def test_a_leaf_is_for_one_name_and_short_lived(tmp_path: Path) -> None:
    """A strict client believes it; it ends within a day, and is kept until then."""
    made = authority(tmp_path, API, "silo.invopop.com")
    leaf = shaken(made.context(API), tmp_path / "ca.pem", API)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [API]
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert life <= module.LIFE + module._EARLIER
    assert made.context(API) is made.context(API)
    assert made.context(API) is not made.context("silo.invopop.com")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_leaf_for_an_address(tmp_path: Path, address: str) -> None:
    """Clients send no server name for one."""
    shaken(authority(tmp_path, address).context(address), tmp_path / "ca.pem", address)


def test_a_leaf_is_renewed_before_its_end(tmp_path: Path) -> None:
    """After half of its life another takes its place."""
    made, now = authority(tmp_path, API), time.time()
    first = made.context(API)
    made._clock = lambda: now + 0.4 * module.LIFE.total_seconds()
    assert made.context(API) is first
    made._clock = lambda: now + 0.6 * module.LIFE.total_seconds()
    assert made.context(API) is not first


@pytest.mark.parametrize("name", ["evil.com", "invopop.com", "127.0.0.1", "10.0.0.1", "::1"])
def test_the_ca_cannot_sign_for_others(tmp_path: Path, name: str) -> None:
    """Should its key be stolen, clients refuse what it signs for other names and addresses."""
    stolen = authority(tmp_path, API)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"permitted subtree|excluded subtree"):
        shaken(stolen.context(name), tmp_path / "ca.pem", name)


@pytest.mark.parametrize("name", ["silo.invopop.com", None])
def test_another_server_name(tmp_path: Path, name: str | None) -> None:
    """Refused with `unrecognized_name`, whatever the client would believe."""
    context = authority(tmp_path, API).context(API)
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname, careless.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = careless.wrap_bio(to_client, to_server, server_hostname=name)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with pytest.raises(ssl.SSLError, match="CALLBACK_FAILED"):
        server.do_handshake()


def test_without_files_there_are_no_tunnels() -> None:
    """That is the default."""
    assert tunnel_authority(TunnelSettings()) == (None, [])


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """Each problem names its setting, and says what was expected."""
    certificate, key = new_authority([API])
    other = new_authority([API])[1]
    leaf = trustme.CA().issue_cert(API)
    leaf_pem = leaf.cert_chain_pems[0].bytes()
    for files, setting, found in (
        ((b"nothing", key), "tunnel.certificate", "no usable content"),
        ((leaf_pem, key), "tunnel.certificate", "not the certificate of a CA"),
        ((certificate, b"nothing"), "tunnel.key", "no usable content"),
        ((certificate, other), "tunnel.key", "not the key of"),
    ):
        made, (problem,) = tunnel_authority(written(tmp_path, *files))
        assert made is None
        assert (problem.key, found in problem.found) == (setting, True), problem
    missing = TunnelSettings(certificate=tmp_path / "none.pem", key=tmp_path / "key.pem")
    _, (problem,) = tunnel_authority(missing)
    assert problem.key == "tunnel.certificate"
