"""Encrypted vault files: opened with their identity, whole or not at all."""

from pathlib import Path

import pytest

from gateway.cli import vault_files
from gateway.cli.vault_files import VaultText, convert, open_vault, read, write
from gateway.cli.vault_text import EditError
from gateway.errors import ConfigurationError
from gateway.secret import Secret
from gateway.settings.sealed import new_identity
from tests.support.vaults import vault_settings

TEXT = '# mine\n[tenants.a]\nkey = { value = "sk_canary" }\n'


def test_an_identity_may_be_a_file_of_age_keygen(tmp_path: Path, identity: Secret) -> None:
    """Comments and several identities in one file are as age-keygen writes them."""
    other, _ = new_identity()
    keys = tmp_path / "keys.txt"
    keys.write_text(f"# created: today\n{other.reveal()}\n\n{identity.reveal()}\n")
    path = tmp_path / "vault.toml.age"
    write(VaultText(path, identity), TEXT)
    vault = open_vault(vault_settings(file=path, identity={"file": keys}).vault, {})
    assert read(vault) == TEXT


def test_a_plain_vault_needs_no_identity(tmp_path: Path, identity: Secret) -> None:
    """One that the settings name is for `encrypt`."""
    path, sealing = tmp_path / "vault.toml", {"identity": {"env": "AGE"}}
    assert open_vault(vault_settings(file=path).vault, {}) == VaultText(path, None)
    opened = open_vault(vault_settings(file=path, **sealing).vault, {"AGE": identity.reveal()})
    assert opened.path == path
    assert opened.identity is not None
    assert opened.identity.reveal() == identity.reveal()


def test_what_cannot_be_read_is_said(tmp_path: Path, identity: Secret) -> None:
    """With the file's name, in words."""
    missing = VaultText(tmp_path / "vault.toml", None)
    with pytest.raises(EditError) as caught:
        read(missing)
    assert str(caught.value) == f"{missing.path}: No such file or directory"
    missing.path.write_bytes(b"\xff")
    with pytest.raises(EditError) as caught:
        read(missing)
    assert str(caught.value) == f"{missing.path} is not UTF-8"
    sealed = VaultText(tmp_path / "vault.toml.age", identity)
    write(sealed, TEXT)
    with pytest.raises(EditError) as caught:
        read(VaultText(sealed.path, None))
    expected = "the vault file is encrypted: set vault.identity to its age identity"
    assert str(caught.value) == expected
    with pytest.raises(EditError) as caught:
        convert(sealed, missing.path)
    assert str(caught.value) == f"{missing.path} exists already"
    assert sealed.path.exists()


@pytest.mark.parametrize(
    ("table", "environ"),
    [
        ({}, {}),
        ({"identity": {"env": "AGE"}}, {}),
        ({"identity": {"env": "AGE"}}, {"AGE": "sk_canary"}),
        ({"identity": {"file": "/nowhere"}}, {}),
    ],
    ids=["none", "unset", "wrong", "no file"],
)
def test_without_its_identity_a_vault_stays_shut(
    tmp_path: Path, identity: Secret, table: dict[str, object], environ: dict[str, str]
) -> None:
    """Each way of not having the identity is one readable problem, without secrets."""
    path = tmp_path / "vault.toml.age"
    write(VaultText(path, identity), TEXT)
    with pytest.raises(ConfigurationError) as caught:
        read(open_vault(vault_settings(file=path, **table).vault, environ))
    assert "canary" not in str(caught.value.problems)
    (problem,) = caught.value.problems
    assert problem.key == "vault.identity"


@pytest.mark.parametrize("cut", [0, 10, -1])
def test_a_torn_or_foreign_file_is_refused(tmp_path: Path, identity: Secret, cut: int) -> None:
    """Authenticated encryption: half a file, or one for somebody else, gives nothing at all."""
    vault = VaultText(tmp_path / "vault.toml.age", identity)
    write(vault, TEXT)
    stranger, _ = new_identity()
    with pytest.raises(ConfigurationError) as caught:
        read(VaultText(vault.path, stranger))
    (problem,) = caught.value.problems
    assert problem.file == str(vault.path)
    vault.path.write_bytes(vault.path.read_bytes()[:cut])
    with pytest.raises(ConfigurationError, match="1 problem"):
        read(vault)


def test_a_missing_extra_says_what_to_install(
    tmp_path: Path, identity: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pyrage an encrypted vault names the extra."""
    vault = VaultText(tmp_path / "vault.toml.age", identity)
    write(vault, TEXT)

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ConfigurationError) as caught:
        vault_files.read(vault)
    (problem,) = caught.value.problems
    assert problem.file == str(vault.path)
    assert "invopop-gateway[age]" in problem.expected
    with pytest.raises(ConfigurationError) as caught:
        write(vault, TEXT)
    assert caught.value.problems == (problem,)
