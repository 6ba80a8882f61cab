"""The guarantees: numbered, each held by tests that are there."""

import re

import pytest

from tests.support.guarantees import ROOT, names_in, stated

STATED = stated()
GALLERY = ROOT / "tests" / "attacks"


def test_they_are_numbered_without_a_gap() -> None:
    """G1, G2, …, each once."""
    assert list(STATED) == [f"G{number}" for number in range(1, len(STATED) + 1)]
    text = (ROOT / "SECURITY.md").read_text()
    assert len(re.findall(r"^\*\*G[0-9]+", text, re.MULTILINE)) == len(STATED)


@pytest.mark.parametrize("number", STATED)
def test_each_is_held_by_tests_that_exist(number: str) -> None:
    """At least one, each by its path and its name."""
    named = STATED[number].tests
    assert named
    for test in named:
        path, _, name = test.partition("::")
        assert name in names_in(ROOT / path), test


def test_each_is_one_sentence() -> None:
    """And ends as one."""
    for number, guarantee in STATED.items():
        assert re.findall(r"\.(?: |$)", guarantee.sentence) == ["."], number


def test_every_attack_is_listed() -> None:
    """The gallery's list is its files, in the order of their names."""
    text = (GALLERY / "README.md").read_text()
    assert re.findall(r"\]\((test_\w+\.py)\)", text) == [
        path.name for path in sorted(GALLERY.glob("test_*.py"))
    ]


@pytest.mark.parametrize("path", sorted(GALLERY.glob("test_*.py")), ids=lambda path: path.stem[5:])
def test_every_attack_is_told(path: object) -> None:
    """Who has what, what simple proxies do, what the gateway does; with a public reference."""
    text = str((GALLERY / str(path)).read_text())
    story = text.split('"""')[1]
    assert "gateway" in story.lower()
    assert re.search(r"RFC [0-9]+|CVE-[0-9]+-[0-9]+|CWE-[0-9]+", story), path
    assert len(story.split("\n\n")) >= 3
