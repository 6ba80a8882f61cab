"""Commands whose standard streams or working directory are gone: a line on stderr, no traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.gateway import START_TIMEOUT, without_slow_steps, write_toml

CHECK = ("check",)
EXPLAIN = ("explain", "--caller", "billing", "GET", "/auth/version")
NEW = ("tokens", "new", "billing")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configuration with nothing wrong in it."""
    caller = {"networks": ["10.0.0.0/8"], "tenants": ["acme"]}
    write_toml(tmp_path / "gateway.toml", {"vault": {}, "callers": {"billing": caller}})
    write_toml(tmp_path / "vault.toml", {"tenants": {"acme": {"key": {"value": "sk_of_acme"}}}})
    return tmp_path


def run(
    directory: Path, command: tuple[str, ...], shell: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """The command in a shell that does `shell` to it; it never shows a traceback or a secret."""
    done = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "gateway", *command],
        capture_output=True,
        cwd=directory,
        env={
            **os.environ, "PYTHONDEVMODE": "1",
            "INVOPOP_GATEWAY_CONFIG": str(directory / "gateway.toml"), **environ,
        },
        timeout=START_TIMEOUT,
        encoding="utf-8",
        check=False,
    )  # fmt: skip
    done.stderr = without_slow_steps(done.stderr)
    assert not re.search("Traceback|Exception|Warning|igw_|sk_of", done.stderr), done.stderr
    return done


@pytest.mark.parametrize("command", [CHECK, EXPLAIN, NEW, ("serve",), ("keys", "set", "acme")])
def test_a_closed_output(directory: Path, command: tuple[str, ...]) -> None:
    """What a command has to say cannot be said: nothing is done, exit 1."""
    before = (directory / "vault.toml").read_bytes()
    done = run(directory, command, 'echo sk_new | "$@" >&-')
    assert (done.returncode, done.stderr) == (1, "error: standard output is closed\n")
    assert (directory / "vault.toml").read_bytes() == before


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [CHECK, EXPLAIN, NEW])
def test_a_full_output(directory: Path, command: tuple[str, ...], unbuffered: str) -> None:
    """A new token that nobody saw is no success."""
    done = run(directory, command, '"$@" >/dev/full', PYTHONUNBUFFERED=unbuffered)
    told = "error: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_reader_that_left(directory: Path) -> None:
    """It wanted no more: nothing is said, but it is no success either."""
    done = run(directory, EXPLAIN, '{ "$@"; echo "$?" >&2; } | true')
    assert done.stderr == "1\n"


def test_a_closed_input(directory: Path) -> None:
    """Is one with nothing in it; commands that read none go on."""
    for command, code, told in (
        (("tokens", "hash"), 1, "error: found no usable token on stdin"),
        (("keys", "set", "acme"), 1, "error: the key is empty"),
        (EXPLAIN, 0, ""),
    ):
        done = run(directory, command, '"$@" <&-')
        assert (done.returncode, done.stderr.startswith(told)) == (code, True), done.stderr
        assert bool(done.stderr) == bool(told)


def test_a_closed_stderr(directory: Path) -> None:
    """What goes there is lost, and nothing else."""
    done = run(directory, ("tokens", "hash"), 'echo hello | "$@" 2>&-')
    assert (done.returncode, done.stdout[:7]) == (0, "sha256:")
    done = run(directory, ("check", "--config", "none"), '"$@" 2>&-')
    assert (done.returncode, done.stdout) == (1, "")


def test_a_name_that_the_output_cannot_show(directory: Path) -> None:
    """It is escaped: a file's name need not be text, nor a terminal know every letter."""
    (directory / "clé").write_text("sk_of_acme")
    write_toml(directory / "vault.toml", {"tenants": {"acme": {"key": {"file": "clé"}}}})
    done = run(directory, CHECK, '"$@"', PYTHONIOENCODING="ascii")
    assert (done.returncode, "/cl\\xe9 " in done.stdout) == (0, True), done.stdout
    identity = os.fsdecode(b"\xff.txt")
    done = run(directory, ("keys", "encrypt", "--new-identity", identity), '"$@"')
    assert (done.returncode, "\\udcff.txt" in done.stdout) == (0, True), done.stdout


def test_a_working_directory_that_is_gone(directory: Path) -> None:
    """A relative path leads nowhere: it says so. What needs none works."""
    gone = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    done = run(directory, ("check", "--config", "gateway.toml"), gone)
    assert done.returncode == 1
    assert "found     a path in a working directory that no longer exists\n" in done.stderr
    done = run(directory, EXPLAIN, gone)
    assert (done.returncode, done.stderr) == (0, "")
