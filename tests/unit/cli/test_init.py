"""What `init` writes loads as it is; what it cannot use it says; it overwrites nothing."""

import os
import subprocess
from itertools import product
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import build
from gateway.cli.starter import shell_word
from gateway.settings.load import load

NETWORK = ["--network", "10.1.0.0/16"]
ISSUER = ["--issuer", "https://id.internal"]


def init(directory: Path, *options: str, keys: str = "") -> tuple[int, str]:
    """Exit code and output."""
    command = ["init", str(directory), *options]
    done = CliRunner().invoke(build(), command, input=keys, catch_exceptions=False)
    return done.exit_code, done.output


@pytest.mark.parametrize(
    ("keys", "identity", "deployed"),
    [
        *product(
            ["env", "file", "value", "openbao", "aws"],
            ["token", "address", "jwt"],
            ["shared", "sidecar"],
        )
    ],
)
def test_every_combination_loads(tmp_path: Path, keys: str, identity: str, deployed: str) -> None:
    """The files are a valid configuration with the tenants and the caller that were named."""
    options = ["--tenant", "acme", "--tenant", "a.b", "--tenant", "a-b", "--caller", "the booker"]
    more = NETWORK if identity == "address" else ISSUER if identity == "jwt" else []
    store = ["--openbao-url", "https://store.internal:8200"] if keys == "openbao" else []
    code, output = init(
        tmp_path / "new", *options, "--keys", keys, "--identity", identity, f"--{deployed}",
        *more, *store, keys="sk_one\nsk_two\nsk_three\n",
    )  # fmt: skip
    assert code == 0, output
    loaded = load(tmp_path / "new" / "gateway.toml", {})
    assert set(loaded.vault.tenants) == {"acme", "a.b", "a-b"}
    sources = [entry.key.describe() for entry in loaded.vault.tenants.values()]
    assert keys == "value" or len(set(sources)) == 3
    assert loaded.settings.callers["the booker"].tenants == ("acme", "a.b", "a-b")
    assert loaded.settings.listen.host == ("0.0.0.0" if deployed == "shared" else "127.0.0.1")
    assert "sk_" not in output
    assert "igw_" not in output


def test_the_readme_shows_what_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every question's default, word for word."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")  # as `uv run` sets it
    code, output = init(Path("my-gateway"))
    assert code == 0
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    chapter = readme.split("## Your first own request", 1)[1].split("\n## ", 1)[0]
    shown = chapter.rsplit("```sh\n", 1)[1].split("```", 1)[0].splitlines()
    assert shown == [line.strip() for line in output.splitlines() if "my-gateway/" in line]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """If one of the files is there, none is written, and it is named."""
    (tmp_path / "vault.toml").write_text("mine")
    code, output = init(tmp_path)
    assert code == 1
    assert "vault.toml already" in output
    assert [path.name for path in tmp_path.iterdir()] == ["vault.toml"]
    assert (tmp_path / "vault.toml").read_text() == "mine"


def test_a_schema_that_is_there_is_kept(tmp_path: Path) -> None:
    """Nothing at all is overwritten."""
    (tmp_path / "gateway.schema.json").write_text("own")
    code, output = init(tmp_path)
    assert code == 0, output
    assert (tmp_path / "gateway.schema.json").read_text() == "own"
    assert "properties" in (tmp_path / "vault.schema.json").read_text()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--tenant", "a b"], "--tenant: expected a letter or digit"),
        (["--tenant", "other"], "not `other`"),
        (["--tenant", "a", "--tenant", "a"], "each once"),
        (["--caller", "a\nb"], "--caller: expected 1 to 256 printable"),
        (["--identity", "jwt"], "--issuer: expected https://"),
        (["--identity", "jwt", "--issuer", "http://id"], "--issuer: expected https://"),
        (["--keys", "openbao", "--openbao-url", "http://store"], "--openbao-url: expected https"),
        (["--shared", "--identity", "address"], "--network: expected"),
        (["--identity", "address", "--network", "10.0.0.1/8"], '"10.0.0.0/8"'),
        (["--sandbox", "--tenant", "mine"], "acme and globex"),
    ],
)
def test_a_wrong_answer_is_named(tmp_path: Path, options: list[str], part: str) -> None:
    """Usage is wrong, exit code 2; nothing is written."""
    code, output = init(tmp_path / "new", *options)
    assert (code, part in output) == (2, True), output
    assert not (tmp_path / "new").exists()


def test_a_key_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    """It is not shown, and nothing is written."""
    code, output = init(tmp_path / "new", "--keys", "value", keys="sk with spaces\n")
    assert code == 1
    assert "the key of acme" in output
    assert "with spaces" not in output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "name", [b"plain", b"two words", b"it's", b"cl\xc3\xa9", b"d\xff'\\7", b"tab\there\n", b"$(x)`"]
)
def test_any_path_can_be_pasted(name: bytes) -> None:
    """What is printed is printable, and what a shell makes of it is the path, to the byte."""
    word = shell_word(Path(os.fsdecode(b"/" + name)))
    assert word.isprintable()
    line = f'printf %s "$(printf %s.end {word})"'
    done = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, check=True, timeout=20)
    assert done.stdout == b"/" + name + b".end"
