"""`check`: what it shows of names and paths is what they are."""

import pytest

from tests.support.gateway import token_hash
from tests.unit.cli.conftest import Configured

NAMES = ("[/x]", "[red]x", "[bold", ":key:", "[link=https://x]y")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(configured: Configured, name: str) -> None:
    """Nothing in a caller's name is an instruction to the terminal."""
    configured.configure(callers={name: {"tokens": [token_hash("a token")], "tenants": ["*"]}})
    code, told = configured.command("check")
    assert code == 0, told
    assert f"callers.{name}: may call every operation" in told.replace('"', "")


def test_paths_are_shown_as_they_are(configured: Configured) -> None:
    """A key file's, wherever it lies; and no control character reaches the terminal."""
    for number, name in enumerate(("[prod]", ":key:", "[", "a\x1b[31mb")):
        folder = configured.directory / name
        folder.mkdir()
        (folder / "k").write_text("sk_of_acme")
        configured.vault({f"t{number}": {"key": {"file": f"{name}/k"}}})
        code, told = configured.command("check")
        assert code == 0, told
        shown = name.replace("\x1b", "\\x1b")
        assert f"{shown}/k" in told.replace("\n", ""), told
        assert "\x1b" not in told


def test_control_characters_are_escaped_in_lines_too(configured: Configured) -> None:
    """`keys list` and `explain` name the same file."""
    (configured.directory / "a\x1b[31mb").write_text("sk_of_acme")
    configured.vault({"acme": {"key": {"file": "a\x1b[31mb"}}})
    explain = ("explain", "--caller", "billing", "--tenant", "acme", "GET", "/x")
    for command in (("keys", "list"), explain):
        code, told = configured.command(*command)
        assert (code, "a\\x1b[31mb" in told, "\x1b" in told) == (0, True, False), told


def test_a_socket_without_its_directory(configured: Configured) -> None:
    """It is warned of: `serve` would not start; but what starts it may make the directory."""
    for folder, told in (("nowhere", True), (".", False)):
        configured.configure(listen={"socket": f"{folder}/gateway.sock"})
        code, printed = configured.command("check")
        assert (code, "warning listen.socket: there is no directory" in printed) == (0, told)


def test_issuers_are_shown_as_they_are(
    configured: Configured,
) -> None:
    """An IPv6 address in brackets is no markup."""
    secret = {"openbao": "kv/hs", "field": "f"}
    configured.configure(
        vault={"openbao": {"url": "https://127.0.0.1:9", "token": {"value": "t"}}},
        issuers=[
            {
                "issuer": "https://[fd00::1]/x",
                "audience": "a",
                "algorithms": ["HS256"],
                "secret": secret,
            }
        ],
    )
    code, told = configured.command("check")
    assert code == 0, told
    assert "warning issuer https://[fd00::1]/x: its secret cannot be had now" in told


def test_who_gets_credentials_is_noted(configured: Configured) -> None:
    """Why no glob covers `access.enrollment.*`, and which caller names it: notes, not warnings."""
    caller = {"tokens": [token_hash("a token")], "tenants": ["acme"]}
    configured.configure(callers={"app": {**caller, "allow": ["access.enrollment.fetch"]}})
    configured.vault({"acme": {"key": {"value": "sk_of_acme"}}})
    code, told = configured.command("check")
    assert code == 0, told
    assert "warning" not in told
    assert "note callers.app.allow: names access.enrollment.fetch, whose replies" in told
    assert "note callers: access.enrollment.* is covered by no default, glob, preset" in told


def test_a_glob_of_credentials_alone_is_an_error(configured: Configured) -> None:
    """It would never match: the answer is what to write instead."""
    caller = {"tokens": [token_hash("a token")], "tenants": ["acme"]}
    configured.configure(callers={"app": {**caller, "allow": ["access.enrollment.*"]}})
    code, told = configured.command("check")
    assert code == 1
    assert "callers.app.allow[0]" in told
    assert "exact names" in told
