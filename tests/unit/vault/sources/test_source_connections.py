"""`Connections`: what sources are made from tells whether they would be made anew."""

from pathlib import Path

from gateway.vault.sources.source import Connections
from tests.support.vaults import vault_settings

ENV = {"A": "key-a"}


def test_a_ca_file_is_known_by_its_content(tmp_path: Path) -> None:
    """As it is now; one that cannot be read is told elsewhere."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(b"first")
    openbao = {"url": "https://bao.internal", "token": {"env": "T"}, "ca_file": ca}
    settings = vault_settings(openbao=openbao).vault
    first = Connections(vault_settings().vault, ENV).renewed(settings)
    assert first == Connections(settings, ENV, b"first")
    ca.write_bytes(b"second")
    assert first.renewed(settings) == Connections(settings, ENV, b"second")
    ca.unlink()
    assert first.renewed(settings) == Connections(settings, ENV, b"")


def test_without_a_ca_file_settings_alone_count() -> None:
    """Whatever they were before."""
    settings = vault_settings().vault
    assert Connections(settings, ENV, b"x").renewed(settings) == Connections(settings, ENV, b"")
