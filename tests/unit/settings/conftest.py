"""Writes configurations to a temporary directory and reads them back."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from gateway.errors import ConfigurationError, Problem
from gateway.settings.load import Loaded, load

GATEWAY: Final = "[callers.billing]\n"
VAULT: Final = '[tenants.acme]\nkey = { env = "ACME_KEY" }\n'


class Workshop:
    """One directory with `gateway.toml` and `vault.toml`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.gateway = directory / "gateway.toml"
        self.vault = directory / "vault.toml"

    def load(
        self,
        gateway: str | bytes = GATEWAY,
        vault: str | bytes = VAULT,
        environ: Mapping[str, str] | None = None,
    ) -> Loaded:
        """Both files written, then loaded."""
        for path, text in ((self.gateway, gateway), (self.vault, vault)):
            path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load(self.gateway, environ or {})

    def problems(
        self,
        gateway: str | bytes = GATEWAY,
        vault: str | bytes = VAULT,
        environ: Mapping[str, str] | None = None,
    ) -> tuple[Problem, ...]:
        """What is wrong with the two files; they must be refused."""
        with pytest.raises(ConfigurationError) as caught:
            self.load(gateway, vault, environ)
        return caught.value.problems


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """An empty directory to write configurations to."""
    return Workshop(tmp_path)
