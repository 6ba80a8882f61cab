"""The line of each problem: of the key, else of the table that it is in; none if uncertain."""

from pathlib import Path

import pytest

from gateway.errors import Problem
from gateway.settings.positions import located

TEXT = '''# A comment.
top = 1

[listen]
port = "x"          # 5
[[issuers]]
issuer = "a"
[[issuers]]         # 8
algorithms = [
  "RS256",          # 10
]
[callers."a b"]
tokens = [{ hash = "q" }]
text = """
[listen]
port = 3
"""
after = 1           # 18
[ callers . c ]     # 19
'x.y' = 1
dotted.deep.key = 1
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("top", 2),
        ("listen", 4),
        ("listen.port", 5),
        ("listen.prot", 4),
        ("issuers[0].issuer", 7),
        ("issuers[0].audience", 6),
        ("issuers[1]", 8),
        ("issuers[1].algorithms", 9),
        ("issuers[1].algorithms[0]", 9),
        ('callers."a b".tokens[0].hash', 13),
        ('callers."a b".after', 18),
        ("callers.c", 19),
        ('callers.c."x.y"', 20),
        ("callers.c.dotted.deep.key", 21),
        ("callers.(a name of 9 characters)", 0),
        ("audit.file", 0),
        ("line 3, column 2", 0),
        ("", 0),
    ],
)
def test_the_line_of_a_key(tmp_path: Path, key: str, line: int) -> None:
    """Each kind of key path that a problem can have."""
    file = tmp_path / "gateway.toml"
    file.write_text(TEXT)
    (found,) = located([Problem(str(file), key, "x", "y")])
    assert found.line == line
    assert (found.key, found.found, found.expected) == (key, "x", "y")


@pytest.mark.parametrize("data", [b"\xff[a]\nb=1", b"[a\nb = 1", b"b = \n" * 5000, b"[[a]]\n" * 3])
def test_a_broken_file_is_no_obstacle(tmp_path: Path, data: bytes) -> None:
    """Neither text that is no TOML nor bytes that are no text raise an error."""
    file = tmp_path / "gateway.toml"
    file.write_bytes(data)
    assert len(located([Problem(str(file), "z.b", "x", "y")])) == 1


def test_other_places_have_no_line(tmp_path: Path) -> None:
    """The environment, a directory, a file that is not there, an encrypted vault."""
    (tmp_path / "vault.toml.age").write_text("[a]\nb = 1\n")
    places = [
        "environment",
        "",
        str(tmp_path),
        str(tmp_path / "none"),
        f"{tmp_path}/vault.toml.age",
    ]
    assert [p.line for p in located(Problem(place, "a.b", "x", "y") for place in places)] == [0] * 5
