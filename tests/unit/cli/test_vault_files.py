"""Vault files on disk: replaced whole, closed to others, encrypted or not."""

import os
import stat
import threading
from pathlib import Path

import pytest

from gateway.cli.vault_files import (
    VaultText,
    change,
    convert,
    make_identity,
    read,
    write,
)
from gateway.cli.vault_text import EditError, with_key
from gateway.secret import Secret

TEXT = '# mine\n[tenants.a]\nkey = { value = "sk_canary" }\n'


def plain(tmp_path: Path) -> VaultText:
    """A plain vault file with one tenant."""
    vault = VaultText(tmp_path / "vault.toml", None)
    write(vault, TEXT)
    return vault


def mode_of(path: Path) -> int:
    """Its permissions."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_new_vault_file_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """Whatever the umask; and nothing else is left beside it."""
    before = os.umask(umask)
    try:
        vault = plain(tmp_path)
    finally:
        os.umask(before)
    assert mode_of(vault.path) == 0o600
    assert list(tmp_path.iterdir()) == [vault.path]


@pytest.mark.parametrize(
    ("was", "becomes"),
    [(0o600, 0o600), (0o400, 0o400), (0o640, 0o640), (0o660, 0o640), (0o644, 0o640),
     (0o666, 0o640), (0o604, 0o600), (0o777, 0o640), (0o4640, 0o640)],
)  # fmt: skip
def test_a_vault_file_is_closed_to_others(
    tmp_path: Path, identity: Secret, was: int, becomes: int
) -> None:
    """Its group reads it still if it did, and never writes it; others lose what they had."""
    vault = VaultText(plain(tmp_path).path, identity)
    vault.path.chmod(was)
    write(vault, TEXT)
    assert mode_of(vault.path) == becomes
    vault.path.chmod(was)
    sealed = convert(vault, tmp_path / "vault.toml.age")
    assert mode_of(sealed.path) == becomes
    assert mode_of(convert(sealed, vault.path).path) == becomes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_vault_file_stays_its_owners(tmp_path: Path, identity: Secret) -> None:
    """Owner and group are as before, whatever root does; a new identity is that owner's too."""
    vault = VaultText(plain(tmp_path).path, identity)
    vault.path.chmod(0o640)
    os.chown(vault.path, 1, 2)
    made = tmp_path / "identity"
    make_identity(made, vault.path)
    write(vault, TEXT)
    sealed = convert(vault, tmp_path / "vault.toml.age")
    for path, mode in ((sealed.path, 0o640), (made, 0o600)):
        assert (path.stat().st_uid, path.stat().st_gid, mode_of(path)) == (1, 2, mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="the file must be somebody else's")
def test_a_file_is_not_taken_from_its_owner(
    tmp_path: Path, identity: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not keep its owner changes nothing: the gateway could not read what came of it."""
    vault = VaultText(plain(tmp_path).path, identity)
    os.chown(vault.path, 1, 2)

    def refused(*_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refused)
    with pytest.raises(EditError, match="its owner and group cannot be kept: run this as root"):
        write(vault, "[tenants]\n")
    with pytest.raises(EditError, match="its owner and group cannot be kept: run this as root"):
        make_identity(tmp_path / "identity", vault.path)
    assert vault.path.read_text() == TEXT
    assert list(tmp_path.iterdir()) == [vault.path]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk changes nothing, and leaves nothing behind."""
    vault = plain(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EditError, match="No space left"):
        write(vault, "[tenants]\n")
    with pytest.raises(EditError, match="No space left"):
        make_identity(tmp_path / "identity", vault.path)
    assert vault.path.read_text() == TEXT
    assert list(tmp_path.iterdir()) == [vault.path]


def test_the_new_file_is_made_beside_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it could not take its place at one stroke; hidden, so that nobody loads it."""
    vault, seen = plain(tmp_path), []
    real = os.fsync

    def looked(descriptor: int) -> None:
        seen.append(sorted(path.name for path in tmp_path.iterdir()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", looked)
    write(vault, "[tenants]\n")
    (first, second), after = seen
    assert first.startswith(".vault.toml.")
    assert [second] == after == ["vault.toml"]


def test_a_symlink_stays_one(tmp_path: Path) -> None:
    """The file that a link leads to is replaced, not the link."""
    vault = plain(tmp_path)
    link = tmp_path / "link.toml"
    link.symlink_to(vault.path)
    write(VaultText(link, None), "[tenants]\n")
    assert link.is_symlink()
    assert vault.path.read_text() == "[tenants]\n"


def test_changes_at_once_are_all_kept(tmp_path: Path) -> None:
    """Two that edit the file at the same time wait for each other."""
    vault = plain(tmp_path)

    def add(name: str) -> None:
        change(vault, lambda text: with_key(text, name, Secret(f"key-{name}")))

    threads = [threading.Thread(target=add, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"[tenants.t{n}]" in read(vault) for n in range(8))


def test_encryption_and_back(tmp_path: Path, identity: Secret) -> None:
    """`encrypt` and `decrypt` change the form and not one character; the old form is gone."""
    sealed = convert(VaultText(plain(tmp_path).path, identity), tmp_path / "vault.toml.age")
    data = sealed.path.read_bytes()
    assert data.startswith(b"age-encryption.org/v1")
    assert b"canary" not in data
    assert list(tmp_path.iterdir()) == [sealed.path]
    assert read(sealed) == TEXT
    change(sealed, lambda text: with_key(text, "b", Secret("key-b")))
    assert "key-b" in read(sealed)
    opened = convert(sealed, tmp_path / "vault.toml")
    assert opened.path.read_text().startswith(TEXT)


def test_no_other_name_keeps_the_plain_file(tmp_path: Path, identity: Secret) -> None:
    """Neither a link nor a file of several names is converted: the keys would stay under one."""
    real = tmp_path / "real"
    real.mkdir()
    vault = plain(real)
    link, hard = tmp_path / "vault.toml", tmp_path / "hard.toml"
    link.symlink_to(vault.path)
    for path, told in ((link, f"is a link: .* {vault.path}"), (hard, "has other names")):
        if path is hard:
            hard.hardlink_to(vault.path)
        with pytest.raises(EditError, match=told):
            convert(VaultText(path, identity), path.with_name("sealed.age"))
    assert sorted(tmp_path.iterdir()) == [hard, real, link]
    assert list(real.iterdir()) == [vault.path]
    assert vault.path.read_text() == TEXT


def test_an_old_file_that_stays_takes_the_new_one_along(
    tmp_path: Path, identity: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the plain file cannot be removed, there is no encrypted one that says it was."""
    vault = plain(tmp_path)
    remove = Path.unlink

    def sticky(path: Path, *arguments: bool, **named: bool) -> None:
        if path == vault.path:
            raise PermissionError(1, "Operation not permitted")
        remove(path, *arguments, **named)

    monkeypatch.setattr(Path, "unlink", sticky)
    with pytest.raises(EditError, match=r"vault\.toml: Operation not permitted"):
        convert(VaultText(vault.path, identity), tmp_path / "vault.toml.age")
    assert list(tmp_path.iterdir()) == [vault.path]


def test_a_new_identity_is_never_written_over_another(tmp_path: Path) -> None:
    """It may be the only thing that opens a vault."""
    vault, path = plain(tmp_path), tmp_path / "identity"
    made = make_identity(path, vault.path)
    assert path.read_text() == made.reveal() + "\n"
    with pytest.raises(EditError, match="identity: File exists"):
        make_identity(path, vault.path)
    assert path.read_text() == made.reveal() + "\n"
    with pytest.raises(EditError, match="No such file"):
        make_identity(tmp_path / "nowhere" / "identity", vault.path)
