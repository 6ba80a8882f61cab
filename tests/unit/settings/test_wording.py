"""How problems are put into words and into one block."""

import pytest

from gateway.errors import Problem
from gateway.settings.wording import (
    KeyPath,
    describe,
    key_path,
    nearest,
    printable,
    readable,
    render,
)


def test_report() -> None:
    """Problems stand together by file, each with its key, what was found and expected."""
    problems = [
        Problem("/etc/gateway.toml", "listen.port", "70000", "a port from 0 to 65535"),
        Problem("/etc/vault.toml", "", "no such file", "the vault file"),
        Problem("/etc/gateway.toml", "log.level", '"loud"', "'info'"),
    ]
    assert render(problems) == (
        "The configuration is refused: 3 problems.\n"
        "\n"
        "/etc/gateway.toml\n"
        "  listen.port\n"
        "    found     70000\n"
        "    expected  a port from 0 to 65535\n"
        "  log.level\n"
        '    found     "loud"\n'
        "    expected  'info'\n"
        "\n"
        "/etc/vault.toml\n"
        "    found     no such file\n"
        "    expected  the vault file"
    )


def test_report_of_one() -> None:
    """One problem is not called problems."""
    assert render([Problem("f", "k", "a", "b")]).startswith("The configuration is refused: 1 prob")
    assert "1 problems" not in render([Problem("f", "k", "a", "b")])


def test_report_keeps_the_terminal_safe() -> None:
    """Case 173: control characters and the like are shown escaped."""
    text = render([Problem("a\x1b[2J", "k\x07", "x\u202ey", "b\nc")])
    assert all(character.isprintable() or character == "\n" for character in text)
    assert len(text.splitlines()) == 6


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("callers", "billing", "tokens", 1, "hash"), "callers.billing.tokens[1].hash"),
        (("issuers", 0), "issuers[0]"),
        (("callers", "ns/name", "allow"), 'callers."ns/name".allow'),
        (("tenants", "a.b"), 'tenants."a.b"'),
        (("tenants", ""), 'tenants.""'),
        (("tenants", "5b45453c-cdd0-11ed-afa1-0242ac120002"),
         "tenants.5b45453c-cdd0-11ed-afa1-0242ac120002"),
        ((), ""),
    ],
)  # fmt: skip
def test_key_path(path: KeyPath, text: str) -> None:
    """A key path is written as one would write it in TOML."""
    assert key_path(path) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("loud", "a string of 4 characters"),
        ("12 MB", '"12 MB"'),
        ("a\nb", "a string of 3 characters"),
        ("x " * 100, "a string of 200 characters"),
        ("https://id/jwks?key=1#x", "a string of 23 characters, which begins with https://"),
        ("u:p@host", 'a string with "@", perhaps a password'),
        (5, "5"),
        (2**64 - 1, "18446744073709551615"),
        (2**64, "an integer"),
        (1.5, "1.5"),
        (True, "true"),
        ([1], "a list"),
        ([], "an empty list"),
        ({}, "an empty table"),
        ({"a": 1, "b c": 2}, 'a table with a, "b c"'),
    ],
)
def test_found(value: object, text: str) -> None:
    """A number or boolean is shown as TOML would write it, a text by its length alone."""
    assert describe(value, ("log", "level")) == text


def test_nearest() -> None:
    """A name that is similar, else all names if they are few; never one that only confuses."""
    assert "`port`" in nearest("prot", ["host", "port"])
    assert nearest("zzz", ["host", "port"]) == "one of `host`, `port`"
    assert nearest("zzz", [f"name{n}" for n in range(40)]) == "a known key"
    assert nearest("zzz", []) == "nothing here"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/etc/d\udcff/gateway.toml", r"/etc/d\xff/gateway.toml"),
        ("café", "café"),
        ("caf\udcc3\udca9", "café"),  # its bytes are UTF-8 after all
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_what_is_not_utf_8_is_escaped(text: str, shown: str) -> None:
    """Paths of any bytes can be logged and printed."""
    assert readable(text) == printable(text) == shown
