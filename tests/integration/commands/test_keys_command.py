"""`keys`: the real command, on plain and encrypted vault files."""

import contextlib
import os
import pwd
import resource
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyrage  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from gateway.cli import build
from gateway.secret import Secret
from tests.support.gateway import run

PLAIN = """\
# The vault of the tests.
[tenants.acme]   # our first
key = { env = "ACME" }
workspace = "5b45453c-cdd0-11ed-afa1-0242ac120002"  # pinned

# globex came second
[tenants.globex]
key = { value = "sk_globex_of_old" }
"""
NEW, NEWER = "sk_a_new_key", "sk_an_even_newer_key"
KEYS = (NEW, NEWER, "sk_globex_of_old")


class Done(NamedTuple):
    """How a command ended."""

    code: int
    output: str


def _limit_files(most_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


class Vault:
    """A configuration with its vault file, and the command that works on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.configure("vault.toml")
        self.write("vault.toml", PLAIN.encode())

    def configure(self, file: str, *more: str) -> None:
        """Writes `gateway.toml`."""
        text = "\n".join(["[vault]", f'file = "{file}"', *more, ""])
        (self.directory / "gateway.toml").write_text(text)

    def write(self, name: str, data: bytes) -> None:
        """A file closed to others."""
        (self.directory / name).write_bytes(data)
        (self.directory / name).chmod(0o600)

    def keys(self, *arguments: str, stdin: str = "", most_bytes: int = -1) -> Done:
        """Runs `keys …`, with files of `most_bytes`; whatever it does, it shows no key."""
        command = [sys.executable, "-m", "gateway", "keys", *arguments]
        done = subprocess.run(
            [*command, "--config", str(self.directory / "gateway.toml")],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"]},
            preexec_fn=partial(_limit_files, most_bytes) if most_bytes >= 0 else None,
            timeout=30,
            encoding="utf-8",
            check=False,
        )
        leaked = [key for key in KEYS if key in done.stdout]
        assert not leaked, done.stdout
        assert "Traceback" not in done.stdout
        return Done(done.returncode, done.stdout)

    def files(self) -> dict[str, int]:
        """What is in the directory, with the permissions of each."""
        return {path.name: path.stat().st_mode & 0o777 for path in self.directory.iterdir()}


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """A plain vault file."""
    return Vault(tmp_path)


def test_a_plain_file_through_its_life(vault: Vault) -> None:
    """set, rotate, list, remove: comments, order and mode stay; the gateway takes the result."""
    path = vault.directory / "vault.toml"
    assert vault.keys("set", "initech", stdin=NEW + "\n").code == 0
    assert vault.keys("rotate", "globex", stdin=NEWER).code == 0
    text = path.read_text()
    assert text.startswith(PLAIN.partition("[tenants.globex]")[0])
    assert f'key = {{value = "{NEWER}"}}\nprevious = {{value = "sk_globex_of_old"}}' in text
    listed = vault.keys("list")
    assert [line.split()[:2] for line in listed.output.splitlines()] == [
        ["acme", "key"],
        ["globex", "key"],
        ["globex", "previous"],
        ["initech", "key"],
    ]
    for key in KEYS:
        assert Secret(key).fingerprint in listed.output
    assert vault.keys("remove", "globex").code == 0
    assert "globex]" not in path.read_text()
    assert "# The vault of the tests." in path.read_text()
    assert vault.files() == {"vault.toml": 0o600, "gateway.toml": vault.files()["gateway.toml"]}
    config = str(vault.directory / "gateway.toml")
    assert run(["check", "--config", config], {"ACME": "sk_of_acme"})[0] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another's files to edit")
def test_root_edits_what_the_service_reads_by_its_group(vault: Vault) -> None:
    """As deploy/README.md installs it: the file is root's, and open to the service's group."""
    owners = Counter(user.pw_gid for user in pwd.getpwall())
    group = next(gid for gid, users in owners.items() if users == 1 and gid)
    file = vault.directory / "vault.toml"
    os.chown(file, 0, group)
    file.chmod(0o640)
    config = str(vault.directory / "gateway.toml")
    for command in (["rotate", "globex"], ["set", "globex"], ["list"]):
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "keys", *command, "--config", config],
            input=NEW, capture_output=True, text=True, timeout=60, check=False,
            env={**os.environ, "ACME": NEWER},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    status = file.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, group, 0o640)


def test_an_encrypted_file_through_its_life(vault: Vault) -> None:
    """encrypt makes an identity and leaves no plain file; the others work alike; decrypt undoes."""
    identity = vault.directory / "identity.txt"
    sealed = vault.directory / "vault.toml.age"
    assert vault.keys("encrypt", "--new-identity", str(identity)).code == 0
    assert {name: mode for name, mode in vault.files().items() if name != "gateway.toml"} == {
        "vault.toml.age": 0o600,
        "identity.txt": 0o600,
    }
    vault.configure("vault.toml.age", 'identity = { file = "identity.txt" }')
    assert vault.keys("rotate", "globex", stdin=NEW).code == 0
    assert "sk_" not in sealed.read_bytes().decode("latin-1")
    opened = pyrage.x25519.Identity.from_str(identity.read_text().strip())
    text = pyrage.decrypt(sealed.read_bytes(), [opened]).decode()
    assert text.startswith(PLAIN.partition("[tenants.globex]")[0])
    assert "globex  previous" in vault.keys("list").output
    assert vault.keys("remove", "acme").code == 0
    assert vault.files()["vault.toml.age"] == 0o600
    assert vault.keys("decrypt").code == 0
    assert not sealed.exists()
    assert (vault.directory / "vault.toml").stat().st_mode & 0o777 == 0o600
    assert NEW in (vault.directory / "vault.toml").read_text()


REFUSED = {
    "no such tenant": (["rotate", "nobody"], NEW),
    "empty key": (["set", "acme"], ""),
    "key with a space": (["set", "acme"], "sk_a key"),
    "key that is not ASCII": (["set", "acme"], "sk_clé"),
    "unlawful tenant": (["set", "../acme"], NEW),
    "reserved tenant": (["set", "other"], NEW),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(vault: Vault, case: str) -> None:
    """A wrong name or key is an error, exit 1, and the file stays as it was, byte for byte.

    In this process: starting one for each costs a second.
    """
    arguments, stdin = REFUSED[case]
    command = ["keys", *arguments, "--config", str(vault.directory / "gateway.toml")]
    done = CliRunner().invoke(build(), command, input=stdin, catch_exceptions=False)
    assert (done.exit_code, (vault.directory / "vault.toml").read_text()) == (1, PLAIN)
    assert stdin not in done.output or not stdin


def test_a_full_disk_changes_nothing(vault: Vault) -> None:
    """A change for which there is no room fails, exit 1; the file stays, nothing else is left."""
    before = vault.files()
    done = vault.keys("rotate", "globex", stdin=NEW, most_bytes=0)
    assert done.code == 1
    assert "vault.toml" in done.output
    assert (vault.directory / "vault.toml").read_text() == PLAIN
    assert vault.files() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_really_full_disk_changes_nothing(tmp_path: Path) -> None:
    """The same on a file system of its own with no block left."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        vault = Vault(tmp_path)
        with contextlib.suppress(OSError), (tmp_path / "filler").open("wb", 0) as filler:
            while True:
                filler.write(b"x" * 4096)
        before = vault.files()
        done = vault.keys("set", "acme", stdin=NEW)
        assert (done.code, vault.files()) == (1, before), done.output
        assert "No space left" in done.output
        assert (tmp_path / "vault.toml").read_text() == PLAIN
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_key_is_never_an_argument() -> None:
    """A key in argv would be seen by everyone on the machine: wrong usage, exit 2."""
    assert CliRunner().invoke(build(), ["keys", "set", "acme", "sk_in_argv"]).exit_code == 2


def test_a_wrong_identity_opens_nothing(vault: Vault) -> None:
    """An encrypted file whose identity is another's: exit 1, the file untouched."""
    mine, other = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    data = pyrage.encrypt(PLAIN.encode(), [mine.to_public()])
    vault.write("vault.toml.age", data)
    vault.write("identity.txt", str(other).encode())
    vault.configure("vault.toml.age", 'identity = { file = "identity.txt" }')
    assert vault.keys("set", "acme", stdin=NEW).code == 1
    assert (vault.directory / "vault.toml.age").read_bytes() == data


def encrypted(vault: Vault, *arguments: str) -> str:
    """What `keys encrypt` says; the lines that it gives to paste make a configuration."""
    done = vault.keys("encrypt", *arguments)
    assert done.code == 0, done.output
    lines = done.output.splitlines()
    (vault.directory / "gateway.toml").write_text("\n".join(lines[lines.index("[vault]") :]))
    return done.output


def test_the_lines_to_paste_work(vault: Vault) -> None:
    """Wherever the vault lies, and whatever its name and the identity's, `encrypt` and back."""
    away = vault.directory / "away"
    away.mkdir()
    (vault.directory / "vault.toml").rename(away / 'my "vault".toml')
    (vault.directory / "gateway.toml").write_text("[vault]\nfile = 'away/my \"vault\".toml'\n")
    identity = vault.directory / 'the "identity".txt'
    encrypted(vault, "--new-identity", str(identity))
    assert "globex" in vault.keys("list").output
    done = vault.keys("decrypt")
    (vault.directory / "gateway.toml").write_text(done.output.partition("In gateway.toml:\n")[2])
    assert "globex" in vault.keys("list").output
    assert (away / 'my "vault".toml').read_text() == PLAIN


def test_a_path_outside_stays_whole(vault: Vault, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A vault that is not below the configuration is named as it was."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (vault.directory / "vault.toml").rename(elsewhere / "vault.toml")
    vault.configure(str(elsewhere / "vault.toml"))
    said = encrypted(vault, "--new-identity", str(elsewhere / "identity.txt"))
    assert f'file = "{elsewhere}/vault.toml.age"' in said
    assert "globex" in vault.keys("list").output


def test_encrypt_says_how_an_identity_is_made(vault: Vault) -> None:
    """Without one, the message names the option."""
    done = vault.keys("encrypt")
    assert done.code == 1
    assert "--new-identity FILE" in done.output
    assert vault.files().keys() == {"vault.toml", "gateway.toml"}


def test_a_failed_encrypt_leaves_no_identity(vault: Vault) -> None:
    """So that the next try, with the cause removed, goes through."""
    identity = vault.directory / "identity.txt"
    in_the_way = vault.directory / "vault.toml.age"
    in_the_way.touch()
    done = vault.keys("encrypt", "--new-identity", str(identity))
    assert (done.code, identity.exists()) == (1, False), done.output
    assert "exists already" in done.output
    in_the_way.unlink()
    encrypted(vault, "--new-identity", str(identity))


def test_a_link_to_the_vault_is_not_encrypted(vault: Vault) -> None:
    """The plain file behind it would stay: exit 1, and what to do instead."""
    (vault.directory / "real").mkdir()
    real = vault.directory / "real" / "vault.toml"
    (vault.directory / "vault.toml").rename(real)
    (vault.directory / "vault.toml").symlink_to("real/vault.toml")
    before = vault.files()
    done = vault.keys("encrypt", "--new-identity", str(vault.directory / "identity.txt"))
    assert (done.code, vault.files()) == (1, before)
    assert f"set vault.file to the file itself, {real}" in done.output
    vault.configure("real/vault.toml")
    encrypted(vault, "--new-identity", str(vault.directory / "identity.txt"))
    assert [path.name for path in real.parent.iterdir()] == ["vault.toml.age"]


def test_a_group_that_reads_the_vault_is_thought_of(vault: Vault) -> None:
    """The identity is its owner's alone: that the group cannot open the vault by it is said."""
    (vault.directory / "vault.toml").chmod(0o640)
    identity = str(vault.directory / "identity.txt")
    assert (
        f"cannot read {identity}: chmod 640"
        in vault.keys("encrypt", "--new-identity", identity).output
    )
    assert vault.files()["vault.toml.age"] == 0o640
    assert vault.files()["identity.txt"] == 0o600


ELSEWHERE = """\
[tenants.acme]
key = { file = "keys/acme" }

[tenants.globex]
key = { openbao = "invopop/globex", field = "key" }
previous = { env = "GLOBEX" }
"""


def in_process(vault: Vault, *arguments: str, stdin: str = "") -> Done:
    """The same as `Vault.keys`, without a process of its own."""
    command = ["keys", *arguments, "--config", str(vault.directory / "gateway.toml")]
    done = CliRunner().invoke(build(), command, input=stdin, catch_exceptions=False)
    assert not [key for key in KEYS if key in done.output]
    return Done(done.exit_code, done.output)


@pytest.fixture
def elsewhere(vault: Vault) -> Vault:
    """A vault whose keys are in a file and in a store."""
    (vault.directory / "keys").mkdir()
    vault.write("keys/acme", b"sk_globex_of_old\n")
    vault.configure(
        "vault.toml", "[vault.openbao]", 'url = "https://127.0.0.1:1"', 'token = { env = "T" }'
    )
    vault.write("vault.toml", ELSEWHERE.encode())
    return vault


@pytest.mark.parametrize("command", ["set", "rotate"])
@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_a_key_elsewhere_is_not_replaced_unasked(
    elsewhere: Vault, command: str, tenant: str
) -> None:
    """A key in a file or store gives way to a value only with `--replace-source`."""
    path = elsewhere.directory / "vault.toml"
    done = in_process(elsewhere, command, tenant, stdin=NEW)
    assert (done.code, path.read_text()) == (1, ELSEWHERE), done.output
    assert "--replace-source" in done.output
    assert "keys/acme" in done.output or "openbao invopop/globex#key" in done.output
    done = in_process(elsewhere, command, tenant, "--replace-source", stdin=NEW)
    assert done.code == 0, done.output
    assert f'key = {{value = "{NEW}"}}' in path.read_text()
    assert in_process(elsewhere, command, tenant, stdin=NEWER).code == 0


def test_the_list_has_paths_as_written_and_fingerprints(elsewhere: Vault) -> None:
    """Of every key that this machine has; one that cannot be read hides no other."""
    done = in_process(elsewhere, "list")
    assert done.output.splitlines() == [
        f"acme  key  file keys/acme  {Secret('sk_globex_of_old').fingerprint}",
        "globex  key  openbao invopop/globex#key",
        "globex  previous  env GLOBEX",
    ]
