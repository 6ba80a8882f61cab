"""A configuration in a directory, and commands that work on it within this process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.cli import build
from gateway.secret import Secret
from gateway.settings.sealed import new_identity
from tests.support.gateway import write_toml

WORKSPACE = "5b45453c-cdd0-11ed-afa1-0242ac120002"


class Configured:
    """`gateway.toml` and `vault.toml`: one caller, `billing`, and one tenant, `acme`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "gateway.toml"
        self.configure()
        self.vault({"acme": {"key": {"value": "sk_of_acme"}}})

    def configure(self, **changes: Mapping[str, Any] | list[Any]) -> None:
        """Writes `gateway.toml`, these sections in the place of the usual ones."""
        callers = {"billing": {"networks": ["10.0.0.0/8"], "tenants": ["*"]}}
        write_toml(self.file, {"vault": {}, "callers": callers, **changes})

    def vault(self, tenants: Mapping[str, Any], **more: Any) -> None:
        """Writes `vault.toml`."""
        write_toml(self.directory / "vault.toml", {"tenants": tenants, **more})

    def command(self, *words: str) -> tuple[int, str]:
        """Exit code and all output, as wide as it wants to be; no key is in it."""
        command = [*words, "--config", str(self.file)]
        done = CliRunner().invoke(build(), command, catch_exceptions=False, color=True)
        assert "sk_of" not in done.output
        return done.exit_code, done.output


@pytest.fixture
def configured(tmp_path: Path) -> Configured:
    """A configuration with nothing wrong in it."""
    return Configured(tmp_path)


@pytest.fixture(scope="module")
def identity() -> Secret:
    """An age identity."""
    return new_identity()[0]
