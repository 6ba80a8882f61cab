"""`tunnel-ca`: what it writes, and what it says."""

import stat
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from gateway.cli import build


def test_it_writes_a_constrained_ca_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is closed to others, names are constrained to the hosts, nothing is overwritten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INVOPOP_GATEWAY_CONFIG", raising=False)
    result = CliRunner().invoke(build(), ["tunnel-ca", "made"])
    assert result.exit_code == 0, result.output
    for word in ("--cacert", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "Go", "keytool", "Ruby"):
        assert word in result.output
    key = tmp_path / "made" / "tunnel-ca-key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text() not in result.output
    pem = (tmp_path / "made" / "tunnel-ca.pem").read_bytes()
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.NameConstraints
    )
    assert names.critical
    hosts = [name.value for name in names.value.permitted_subtrees or ()]
    assert hosts == ["api.invopop.com", "silo.invopop.com", "storage.invopop.com"]
    again = CliRunner().invoke(build(), ["tunnel-ca", "made"])
    assert again.exit_code == 1
    assert "nothing is overwritten" in again.output
    assert (tmp_path / "made" / "tunnel-ca.pem").read_bytes() == pem
