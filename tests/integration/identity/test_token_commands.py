"""`tokens new` and `tokens hash`, and what the configuration says of a token's end."""

import re
import subprocess
import sys
import tomllib
import zlib
from datetime import UTC, date, datetime, timedelta

import pytest
from typer.testing import CliRunner

from gateway.cli import build
from tests.support.gateway import eventually, token_hash, write_toml
from tests.support.identity_world import Worlds
from tests.support.terminal import in_terminal
from tests.support.world import TOK_A, World, request

# How a secret scanner would look for ours, and tell a real one from an accident.
SCANNER = re.compile(r"\bigw_[0-9A-Za-z]{38}\b")
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def command(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    result = CliRunner().invoke(build(), ["tokens", *arguments], input=stdin)
    return result.exit_code, result.stdout, result.stderr


def new(*arguments: str) -> tuple[str, str]:
    """A fresh token, and the configuration printed with it."""
    code, printed, _ = command("new", *arguments)
    assert code == 0
    (found,) = SCANNER.findall(printed)
    return found, printed[printed.index("[callers") :]


def has_checksum(token: str) -> bool:
    """Whether the last six digits are the CRC-32 of those before, in base 62."""
    value = 0
    for digit in token[-6:]:
        value = value * 62 + DIGITS.index(digit)
    return value == zlib.crc32(token[4:-6].encode())


def test_a_fresh_token_is_one_that_scanners_find() -> None:
    """Prefix, length, checksum; no two alike; the printed lines are configuration as they are."""
    tokens = {new("billing")[0] for _ in range(50)}
    assert len(tokens) == 50
    assert all(has_checksum(token) for token in tokens)
    for name, table in (("billing", "billing"), ("a b.c", "a b.c")):
        token, lines = new(name)
        assert tomllib.loads(lines) == {"callers": {table: {"tokens": [token_hash(token)]}}}
        assert token not in lines


def test_a_token_with_an_end() -> None:
    """`--expires` writes it into the entry; what is no date is wrong usage."""
    token, lines = new("billing", "--expires", "2027-01-31")
    entry = {"hash": token_hash(token), "expires": date(2027, 1, 31)}
    assert tomllib.loads(lines) == {"callers": {"billing": {"tokens": [entry]}}}
    for day in ("soon", "2027-13-01", "2020-01-01"):
        code, printed, _ = command("new", "billing", "--expires", day)
        assert (code, printed) == (2, "")


@pytest.mark.parametrize("name", ["", "a\nb", "a\x1bb", "n" * 257])
def test_a_token_is_somebodys(name: str) -> None:
    """No token is made for nobody, nor for a name that the configuration would refuse."""
    code, printed, told = command("new", name)
    assert (code, printed) == (2, "")
    assert "a caller must have a name: 1 to 256" in " ".join(told.split())


def test_a_token_for_a_long_name() -> None:
    """The longest that the configuration takes, in any letters."""
    _, lines = new("é" * 256)
    assert tomllib.loads(lines)["callers"].keys() == {"é" * 256}


@pytest.mark.parametrize(
    ("stdin", "code", "told"),
    [
        (TOK_A + "\n", 0, "warning: its checksum is wrong"),
        ("a-token-of-another-maker\n", 0, ""),
        ("hello\n", 0, "warning: so short a token can be guessed"),
        ("\n", 1, "no usable token"),
        ("two words\n", 1, "no usable token"),
        ("tokén\n", 1, "no usable token"),
    ],
)
def test_hash(stdin: str, code: int, told: str) -> None:
    """The line for the configuration, or why not; a mistyped token of ours is told."""
    found, out, err = command("hash", stdin=stdin)
    assert found == code
    assert out == (token_hash(stdin.strip()) + "\n" if code == 0 else "")
    assert told in err
    assert bool(err) == bool(told)
    assert stdin.strip() not in err or not stdin.strip()


def test_hash_of_a_fresh_one_from_a_pipe() -> None:
    """As a process: from stdin, never from argv; nothing to warn of."""
    token, _ = new("billing")
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "tokens", "hash"],
        input=token, capture_output=True, text=True, check=True, timeout=15,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (token_hash(token) + "\n", "")


def test_expires_and_removal(worlds: Worlds) -> None:
    """A token is refused after its last day (UTC), and as soon as the configuration drops it."""
    today = datetime.now(UTC).date()
    tokens = {"yesterday": today - timedelta(days=1), "today": today, "later": date(2100, 1, 1)}
    entries = [{"hash": token_hash(name), "expires": day} for name, day in tokens.items()]
    callers: dict[str, object] = {"timed": {"tokens": entries, "issuers": [], "tenants": ["acme"]}}
    world: World = worlds({"callers": callers})
    found = {name: world.exchange(request("GET /x", token=name)).status for name in tokens}
    assert found == {"yesterday": 401, "today": 200, "later": 200}
    settings = tomllib.loads(world.gateway.config.read_text())
    settings["callers"]["timed"]["tokens"] = entries[:2]
    write_toml(world.gateway.config, settings)
    eventually(lambda: world.exchange(request("GET /x", token="later")).status == 401)
    assert world.exchange(request("GET /x", token="today")).status == 200


def test_a_token_to_hash_is_asked_for_without_echo() -> None:
    """Echo is off before the question is shown, so that nothing typed is ever on the screen."""
    screen = in_terminal(["tokens", "hash"], [TOK_A])
    assert (screen.code, screen.echo) == (0, [False])
    assert token_hash(TOK_A) in screen.text
    assert TOK_A not in screen.text
