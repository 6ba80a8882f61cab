"""The list of commands, and what a start of one imports."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway import __version__
from gateway.cli import COMMANDS, build
from gateway.cli.configuration import path_of


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_each_command_says_of_itself(name: str) -> None:
    """The summary in the list is the first sentence of the command's own help."""
    done = CliRunner().invoke(build(), [name, "--help"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert f"\n  {COMMANDS[name].rstrip('.')}" in done.output


def test_a_misspelt_command_is_answered_with_the_nearest() -> None:
    """Exit code 2, and the name that was probably meant."""
    done = CliRunner().invoke(build(), ["chekc"])
    assert done.exit_code == 2
    assert "Did you mean 'check'?" in done.output


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_both_spellings_of_version(flag: str) -> None:
    """The name and the version, and nothing else."""
    assert CliRunner().invoke(build(), [flag]).output == f"invopop-gateway {__version__}\n"


def test_the_version_costs_no_import_of_the_gateway() -> None:
    """`--version`, `--help` and completion import neither settings nor servers nor clients."""
    heavy = (
        "{'pydantic', 'httpx', 'starlette', 'uvicorn', 'cryptography', 'jinja2', 'rich.console'}"
    )
    code = (
        "import sys; from gateway.cli import main\n"
        "try: main()\n"
        f"finally: sys.exit(str({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "set()"


def test_completion_can_be_installed() -> None:
    """The script for a shell is printed."""
    command = typer.main.get_command(build())
    assert {"--install-completion", "--show-completion"} <= {
        name for parameter in command.params for name in parameter.opts
    }


def test_which_file_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is named, else one's own, else the usual one; where both are, none is guessed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INVOPOP_GATEWAY_CONFIG", raising=False)
    own, usual = Path("gateway.toml"), Path("config/gateway.toml")
    assert path_of(None) == usual
    own.touch()
    assert path_of(None) == own
    usual.parent.mkdir()
    usual.touch()
    with pytest.raises(typer.Exit):
        path_of(None)
    assert path_of(usual) == usual
    monkeypatch.setenv("INVOPOP_GATEWAY_CONFIG", "x.toml")
    assert path_of(None) == Path("x.toml")
