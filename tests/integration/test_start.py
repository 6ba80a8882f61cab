"""What a start of `serve` imports: it is nearly all of the time until it is ready."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import GatewayProcess

SETTINGS: dict[str, Any] = {
    "listen": {"port": 0},
    "admin": {"port": 0},
    "callers": {"billing": {"networks": ["127.0.0.0/8"], "tenants": ["acme"]}},
}
VAULT = {"tenants": {"acme": {"key": {"value": "sk_of_acme"}}}}
# Nothing answers there: only what is imported for it matters.
ISSUER = {
    "issuer": "https://127.0.0.1:1/",
    "audience": "gateway",
    "algorithms": ["RS256"],
    "jwks_url": "https://127.0.0.1:1/keys",
}
# Of libraries that are installed, those that a start does not need.
NOT_NEEDED = {
    *("click", "h11", "httpcore", "httpx", "jinja2", "multiprocessing", "pygments", "requests"),
    *("rich.console", "tomlkit", "uvicorn", "unittest", "xml"),
    *("gateway.admin.page", "gateway.admin.view", "gateway.cli.check", "gateway.sandbox"),
}
_PROGRAM = """
import sys
from gateway.__main__ import main
try:
    main()
finally:
    print("IMPORTED", *sys.modules, flush=True)
"""


class Counted(GatewayProcess):
    """The program, which prints in the end what it has imported."""

    program = ("-c", _PROGRAM)

    def imported(self) -> set[str]:
        """Ends it, and says which modules it had imported."""
        assert self.stop() == 0
        (line,) = (line for line in self.lines() if line.startswith("IMPORTED "))
        return set(line.split())


def started(directory: Path, settings: Mapping[str, Any]) -> Counted:
    """The program with these settings, and a vault with one tenant."""
    return Counted(directory, {**SETTINGS, **settings}, VAULT)


def test_a_start_imports_only_what_it_needs(tmp_path: Path) -> None:
    """No client of issuers and stores, no templates, no server for the sandbox."""
    with started(tmp_path, {}) as gateway:
        assert gateway.admin("/livez") == (200, b"ok\n")
        assert gateway.metric("build_info") == 1
        imported = gateway.imported()
    assert imported & NOT_NEEDED == set()
    assert "gateway.server.run" in imported


def test_remote_keys_of_an_issuer_need_their_client_alone(tmp_path: Path) -> None:
    """httpx, without the command line that it has when rich and click are installed."""
    with started(tmp_path, {"issuers": [ISSUER]}) as gateway:
        imported = gateway.imported()
    assert imported & NOT_NEEDED == {"h11", "httpcore", "httpx"}


@pytest.mark.parametrize("path", ["/", "/status"])
def test_the_status_is_imported_when_it_is_asked_for(tmp_path: Path, path: str) -> None:
    """By whichever of its two paths."""
    with started(tmp_path, {}) as gateway:
        status, body = gateway.admin(path)
        assert status == 200
        assert b"acme" in body
        imported = gateway.imported()
    assert {"gateway.admin.page", "gateway.admin.view", "jinja2"} <= imported
