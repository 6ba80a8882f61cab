"""What is wrong with a file as a whole is one clear problem, never a traceback."""

import os
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigurationError, Problem
from gateway.settings.document import is_private
from gateway.settings.load import load
from gateway.settings.sealed import new_identity, seal

FILES = ["gateway", "vault"]
BROKEN = [
    (b"[tenants\n", "line 1, column 9", "a syntax error"),
    (b"[log]\nx = 1 y\n", "line 2, column 7", "a syntax error"),
    (b"[log]\n[log]\n", "line 2, column 5", "a syntax error"),
    (b"[log]\nx = ", "end of document", "a syntax error"),
    (b"[log]\nx = " + b"9" * 5000, "", "an integer with too many digits"),
    (b"[log]\nx = " + b"[" * 5000, "", "nested too deep"),
    (b"[log]\nx = '\xff'\n", "line 2", "bytes that are not UTF-8"),
    (b"\xef\xbb\xbf[tenants]\n", "", "a byte order mark"),
    ("[tenants]\n".encode("utf-16"), "", "a byte order mark"),
    (b"", "", "no table at all"),
    (b"# just a comment\n", "", "no table at all"),
    (b"x = 1\n", "", "no table at all"),
]


def refusal(path: Path) -> Problem:
    """The one problem of loading that file."""
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("data", "where", "found"), BROKEN)
def test_file_that_does_not_parse(
    workshop: Any, file: str, data: bytes, where: str, found: str
) -> None:
    """Case 165: a file that is broken, torn or no UTF-8 is refused whole, with the place."""
    (problem,) = workshop.problems(**{file: data})
    assert problem.file == str(getattr(workshop, file))
    assert problem.key == where
    assert found in problem.found


def test_missing_file(tmp_path: Path) -> None:
    """Case 165: a configuration file that is not there is named."""
    problem = refusal(tmp_path / "absent.toml")
    assert problem.file == str(tmp_path / "absent.toml")
    assert problem.found == "no such file"


def test_directory(tmp_path: Path) -> None:
    """Case 165: a directory is no configuration file."""
    assert refusal(tmp_path).found == "a directory"


@pytest.mark.parametrize("file", FILES)
def test_file_that_might_never_end(workshop: Any, file: str) -> None:
    """A pipe or a device is refused and not read from; a link to a regular file is one."""
    workshop.load()
    path: Path = getattr(workshop, file)
    kept = path.rename(path.with_suffix(".kept"))
    os.mkfifo(path)
    for _ in range(2):
        problem = refusal(workshop.gateway)
        assert (problem.file, problem.found) == (str(path), "a pipe or device, not a regular file")
        path.unlink()
        path.symlink_to("/dev/zero")
    path.unlink()
    path.symlink_to(kept)
    assert load(workshop.gateway, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    """Case 165: a file without permission to read is named."""
    (tmp_path / "g.toml").touch(mode=0)
    assert "may not read" in refusal(tmp_path / "g.toml").found


def test_permission_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Case 165: the system's refusal to open a file is a problem, also where root runs tests."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    (tmp_path / "g.toml").touch()
    monkeypatch.setattr(Path, "open", refuse)
    assert "may not read" in refusal(tmp_path / "g.toml").found


def test_name_that_is_no_path(tmp_path: Path) -> None:
    """A path that the system cannot take is a problem too."""
    assert "cannot be read" in refusal(tmp_path / ("x" * 300)).found
    assert "cannot be read" in refusal(tmp_path / "a\0b").found


def test_missing_vault_file(workshop: Any) -> None:
    """A vault file that is not there is named, beside the other problems."""
    gateway = '[vault]\nfile = "absent.toml"\n[log]\nlevel = 1\n'
    level, vault = workshop.problems(gateway)
    assert level.key == "log.level"
    assert (vault.file, vault.found) == (
        str(workshop.directory / "absent.toml"),
        "no such file",
    )
    assert vault.expected == "the vault file that vault.file names"


def test_a_vault_file_that_was_encrypted_since(workshop: Any) -> None:
    """Whoever has forgotten to name the encrypted one is told that it is there."""
    (workshop.directory / "absent.toml.age").touch()
    problems = workshop.problems(gateway='[vault]\nfile = "absent.toml"\n')
    assert 'there is "absent.toml.age" beside it' in problems[-1].expected


def test_vault_file_with_a_wrong_name_is_not_looked_for(workshop: Any) -> None:
    """If the name of the vault file is wrong itself, no other file is read in its place."""
    (problem,) = workshop.problems("[vault]\nfile = 5\n", b"")
    assert problem.key == "vault.file"


def test_encrypted_vault_file(workshop: Any) -> None:
    """An encrypted vault is never taken for TOML."""
    (workshop.directory / "vault.toml.age").write_bytes(b"age-encryption.org/v1\n")
    (problem,) = workshop.problems('[vault]\nfile = "vault.toml.age"\n')
    assert (problem.key, problem.found) == ("vault.identity", "nothing")


def test_encrypted_vault_file_is_opened_with_its_identity(workshop: Any) -> None:
    """`vault.identity` opens it; keys may then stand in it, whoever may read the file."""
    identity, _ = new_identity()
    path = workshop.directory / "vault.toml.age"
    path.write_bytes(seal(path, b'[tenants.acme]\nkey = { value = "sk-acme" }\n', identity))
    path.chmod(0o644)
    gateway = '[vault]\nfile = "vault.toml.age"\nidentity = { env = "AGE" }\n'
    loaded = workshop.load(gateway, environ={"AGE": identity.reveal()})
    assert loaded.vault.tenants["acme"].key.value.reveal() == "sk-acme"


def test_unknown_variables_are_told_of_beside_a_broken_file(workshop: Any) -> None:
    """A syntax error does not hide a misspelt override."""
    problems = workshop.problems(b"[", environ={"INVOPOP_GATEWAY__LOG__LEVLE": "info"})
    assert [problem.file for problem in problems] == [str(workshop.gateway), "environment"]


def test_empty_vault(workshop: Any) -> None:
    """`[tenants]` with nothing in it is a vault without tenants, and is warned of."""
    loaded = workshop.load(vault="[tenants]\n")
    assert loaded.vault.tenants == {}
    assert any("the vault is empty" in warning for warning in loaded.warnings)


def test_vault_of_stores_alone(workshop: Any) -> None:
    """A vault may discover every tenant, and list none."""
    loaded = workshop.load(vault='[discover]\nkey = { aws = "invopop/{tenant}" }\n')
    assert not any("vault" in warning for warning in loaded.warnings)


@pytest.mark.parametrize(
    ("mode", "private"),
    [(0o600, True), (0o400, True), (0o640, True), (0o644, False), (0o604, False), (0o601, False)],
)
def test_privacy_of_a_file(tmp_path: Path, mode: int, private: bool) -> None:
    """A file is private if others may do nothing with it, and its group is one of ours."""
    path = tmp_path / "vault.toml"
    path.touch()
    os.chown(path, -1, os.getegid())
    path.chmod(mode)
    assert is_private(path.stat()) is private


def test_file_of_a_foreign_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a group may read that is not ours is not private."""
    path = tmp_path / "vault.toml"
    path.touch()
    path.chmod(0o640)
    group = path.stat().st_gid
    monkeypatch.setattr(os, "getegid", lambda: group + 1)
    monkeypatch.setattr(os, "getgroups", lambda: [group + 2])
    assert not is_private(path.stat())
    monkeypatch.setattr(os, "getgroups", lambda: [group + 2, group])
    assert is_private(path.stat())
