"""`check`: what it shows of names and paths is what they are."""

import json
import os

import jwt
import pytest

from gateway.sandbox.sandbox import Sandbox
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
    assert "warning issuer https://[fd00::1]/x: its secret is unavailable now" in told


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


def test_warnings_fail_a_strict_check(configured: Configured) -> None:
    """With `--strict` exit 1, and why; without warnings 0 as ever."""
    configured.configure(callers={"billing": {"networks": ["10.0.0.0/8"], "tenants": ["*"]}})
    assert configured.command("check")[0] == 0
    code, told = configured.command("check", "--strict")
    assert (code, "error: 1 warning, and --strict lets none pass" in told) == (1, True)
    assert "ok " not in told.splitlines()[-1]
    caller = {"networks": ["10.0.0.0/8"], "tenants": ["*"], "allow": ["silo.*"]}
    configured.configure(callers={"billing": caller})
    assert configured.command("check", "--strict")[0] == 0


def test_one_document(configured: Configured) -> None:
    """`--json` says the same, and nothing else goes to stdout."""
    code, told = configured.command("check", "--json")
    found = json.loads(told)
    assert (code, found["ok"], found["errors"]) == (0, True, [])
    assert found["file"] == str(configured.file)
    assert any("may call every operation" in warning for warning in found["warnings"])
    (tenant,) = found["tenants"]
    assert (tenant["tenant"], tenant["slot"], tenant["state"]) == ("acme", "key", "ok")
    assert found["memory"]["bytes"] > 0
    code, told = configured.command("check", "--json", "--strict")
    assert (code, json.loads(told)["ok"]) == (1, False)


def test_one_document_of_what_is_wrong(configured: Configured) -> None:
    """Each problem with its file, its key path, what was found and what was expected."""
    configured.configure(listen={"port": "no"}, admin={"prt": 1})
    code, told = configured.command("check", "--json")
    found = json.loads(told)
    assert (code, found["ok"]) == (1, False)
    assert [(error["key"], error["file"]) for error in found["errors"]] == [
        ("listen.port", str(configured.file)),
        ("admin.prt", str(configured.file)),
    ]
    assert all(error["found"] and error["expected"] for error in found["errors"])


def test_a_scope_is_shown_where_there_is_one(configured: Configured) -> None:
    """Keys of Invopop's kind say what they are for, and that they never expire."""
    key = jwt.encode({"exp": 0, "scope": "api"}, "k" * 32, algorithm="HS256")
    assert " scope " not in configured.command("check")[1]
    configured.vault({"acme": {"key": {"value": key}}, "globex": {"key": {"value": "sk_of_g"}}})
    code, told = configured.command("check")
    rows = [line.split("│") for line in told.splitlines() if line.startswith("│")]
    shown = {row[1].strip(): (row[5].strip(), row[6].strip()) for row in rows}
    assert (code, shown) == (0, {"acme": ("-", "api"), "globex": ("-", "-")})
    assert "expire" not in told.split("└")[1]


def test_a_sandbox_key_at_invopop(configured: Configured) -> None:
    """It opens nothing there: a warning, unless the upstream is a sandbox."""
    key = {"value": Sandbox().mint_key("acme")}
    configured.vault({"acme": {"key": key}})
    assert "tenants.acme.key: a key of `invopop-gateway sandbox`" in configured.command("check")[1]
    configured.configure(upstream={"url": "https://localhost:1"})
    assert "a key of" not in configured.command("check")[1]


def test_who_may_judge_by_anothers_rights(configured: Configured) -> None:
    """Root alone, and only a user that there is: else it is wrong usage."""
    code, told = configured.command("check", "--as", "no such user")
    assert (code, "there is no user of that name" in told) == (2, True)
    if os.geteuid() != 0:
        assert configured.command("check", "--as", "root")[0] == 2


def test_a_problem_names_its_line(configured: Configured) -> None:
    """In words, and as a number in the document."""
    configured.configure(log={"level": "loud"})
    lines = configured.file.read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if '"loud"' in text)
    assert f"log.level  (line {line})" in configured.command("check")[1]
    _, output = configured.command("check", "--json")
    assert json.loads(output)["errors"][0]["line"] == line
