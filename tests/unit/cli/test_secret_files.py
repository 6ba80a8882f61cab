"""`check`: files with secrets that others may read, and what interrupted changes left."""

from pathlib import Path

import pytest

from gateway.cli.vault_files import VaultText, change, leftovers
from tests.unit.cli.conftest import Configured


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)])
def test_an_open_key_file_is_warned_of(configured: Configured, mode: int, warned: int) -> None:
    """Of tenants and of stores alike, with the place that names it."""
    for name in ("acme.key", "secret-id"):
        path = configured.directory / name
        path.write_text("sk_of_file")
        path.chmod(mode)
    approle = {"role_id": "r", "secret_id": {"file": "secret-id"}}
    store = {"url": "https://127.0.0.1:1", "approle": approle}
    configured.configure(vault={"openbao": store})
    configured.vault({"acme": {"key": {"file": "acme.key"}}})
    _, told = configured.command("check")
    assert told.count("others may read") == 2 * warned
    assert told.count("tenants.acme.key: others may read") == warned
    assert told.count("vault.openbao.approle.secret_id: others may read") == warned


def test_what_an_interrupted_change_left_is_named_and_removed(configured: Configured) -> None:
    """`check` names it, the next change removes it; files of other names stay."""
    directory = configured.directory
    left = {".vault.toml.abcdefgh.tmp", ".vault.toml.a1b2c3d4", ".vault.toml.age.abc_efgh"}
    kept = {".vault.toml.original", ".vault.toml.swp", ".other.toml.a1b2c3d4"}
    for name in left | kept:
        (directory / name).touch(mode=0o600)
    vault_file = directory / "vault.toml"
    assert {path.name for path in leftovers(vault_file)} == left
    _, told = configured.command("check")
    assert all(f"{name} was left by an interrupted change" in told for name in left)
    change(VaultText(vault_file, None), lambda text: text)
    names = {path.name for path in directory.iterdir()}
    assert (names & left, names & kept) == (set(), kept)


def test_a_directory_that_is_gone_has_nothing_left_over(tmp_path: Path) -> None:
    """Nor does looking fail."""
    assert leftovers(tmp_path / "nowhere" / "vault.toml") == []
