"""The list of numbered cases, held against the tests that cite them."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[2]
LIST = (TESTS / "cases.md").read_text()
NUMBERS = r"\d+(?:(?:\s*,\s*and\s+|\s*,\s*|\s+and\s+|\s+to\s+|\s*[-–]\s*)\d+)*"
CITED = rf"\b[Cc]ases?\s+({NUMBERS})"
NAMED = r"def test_case_(\d+(?:_(?:to_)?\d+)*)"


def numbers(text: str) -> set[int]:
    """The numbers that a text such as `1 to 3, 5` names."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:\s*(?:to|[-–])\s*(\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def cited(text: str) -> set[int]:
    """The cases that a Python file cites in texts, comments and names of tests."""
    names = (name.replace("_", " ") for name in re.findall(NAMED, text))
    return set().union(*map(numbers, [*re.findall(CITED, text), *names]))


def section(heading: str) -> str:
    """The text under a heading of the second level."""
    return LIST.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def rows(text: str) -> list[int]:
    """The numbers that begin the rows of a table."""
    return [int(number) for number in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)]


UNTESTED = section("Cases without a test of their own")
CASES = rows(LIST.replace(UNTESTED, ""))
FREE = numbers(section("Free numbers"))
FILES = sorted(path for path in TESTS.rglob("*.py") if path != Path(__file__))


def test_the_list_has_no_gap() -> None:
    """Each number up to the last is one case, in order, or is said to be free."""
    assert sorted(set(CASES)) == CASES
    assert sorted([*CASES, *FREE]) == list(range(1, max(CASES) + 1))


def test_each_case_has_a_requirement_and_a_source() -> None:
    """What happens, what the gateway must do, and who says so."""
    found = re.findall(r"^\| \d+ \| [^|]+ → [^|]+\. \| [^|]+ \|$", LIST, re.MULTILINE)
    assert len(found) == len(CASES)


def test_every_cited_case_is_in_the_list() -> None:
    """No test cites a number that says nothing."""
    unknown = {str(path): cited(path.read_text()) - set(CASES) for path in FILES}
    assert not {path: found for path, found in unknown.items() if found}


def test_every_case_is_cited_by_a_test() -> None:
    """Or the list says why there is no test."""
    all_cited = set().union(*(cited(path.read_text()) for path in FILES))
    assert set(CASES) - all_cited == set(rows(UNTESTED))


def test_citations_are_found_as_they_are_written() -> None:
    """In sentences, lists, ranges, comments and names."""
    text = '"""Cases 1, 3 and 5 to 7."""  # case 9\ndef test_case_11_to_13_15_a_name() -> None:'
    assert cited(text) == {1, 3, 5, 6, 7, 9, 11, 12, 13, 15}
