"""The callers' certificate: what is wrong with it is told by setting and file."""

from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.errors import ConfigurationError
from gateway.identity.listener_tls import listener_tls
from gateway.settings.schema import Settings


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, its key, another's key, the key with a password; and a file of nothing."""
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ours, other = ca.issue_cert("gateway.internal"), ca.issue_cert("gateway.internal")
    ours.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    ours.private_key_pem.write_to_path(str(folder / "key.pem"))
    other.private_key_pem.write_to_path(str(folder / "other.pem"))
    key = load_pem_private_key(ours.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
    (folder / "locked.pem").write_bytes(locked)
    (folder / "nothing.pem").write_text("torn")
    return folder


WRONG = [
    (("nothing", "key"), "tls_certificate", "nothing.pem: no usable content"),
    (("absent", "key"), "tls_certificate", "absent.pem: No such file or directory"),
    (("key", "key"), "tls_certificate", "key.pem: no usable content"),
    (("cert", "nothing"), "tls_key", "nothing.pem: no usable content"),
    (("cert", "cert"), "tls_key", "cert.pem: no usable content"),
    (("cert", "absent"), "tls_key", "absent.pem: No such file or directory"),
    (("cert", "locked"), "tls_key", "locked.pem: a key with a password"),
    (("cert", "other"), "tls_key", "other.pem: not the key of "),
    (("cert", "key", "nothing"), "client_ca", "nothing.pem: no usable content"),
    (("cert", "key", "absent"), "client_ca", "absent.pem: No such file or directory"),
]


@pytest.mark.parametrize(("given", "setting", "found"), WRONG)
def test_a_wrong_file(files: Path, given: tuple[str, ...], setting: str, found: str) -> None:
    """The one that is wrong is named, in words; OpenSSL's own would name neither."""
    settings = ("tls_certificate", "tls_key", "client_ca")
    named = {name: str(files / f"{file}.pem") for name, file in zip(settings, given, strict=False)}
    with pytest.raises(ConfigurationError) as caught:
        listener_tls(Settings.model_validate({"listen": named}).listen)
    (problem,) = caught.value.problems
    assert problem.key == f"listen.{setting}"
    assert problem.found.startswith(f"{files}/{found}")
    assert "PEM" in problem.expected


def test_a_right_pair(files: Path) -> None:
    """Its content is remembered."""
    named = {"tls_certificate": str(files / "cert.pem"), "tls_key": str(files / "key.pem")}
    made = listener_tls(Settings.model_validate({"listen": named}).listen)
    assert made is not None
    assert made.digest
