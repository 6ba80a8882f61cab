"""The suite's list of conformance cases, held against the tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
INTEGRATION = ROOT / "tests" / "integration"
LIST = (INTEGRATION / "README.md").read_text()
# Requests and replies on the wire; the gaps are the list's own.
WIRE = (
    {
        1,
        2,
        3,
        5,
        6,
        8,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
        17,
        18,
        20,
        21,
        23,
        24,
        26,
        27,
        29,
        30,
        32,
        33,
        35,
    }
    | {36, 37, 38, 39, 41, 42, 44, 45, 47, 48, 50, 51, 52, 53, 54}
    | {55, 56, 57, 58, 59, 60, 62, 63, 65, 66, 68}
    | {69, 70, 71, 72, 74, 77, 78, 79, 80, 81, 83, 84, 85, 86}
    | {87, 88, 89, 90, 92, 93, 95, 96, 98, 99, 101, 102, 104}
    | {105, 106, 107, 108, 109, 111, 113, 114, 115, 116, 117, 119}
    | {120, 121, 122, 123, 126, 127, 128, 129, 131, 132, 134, 135}
    | {137, 138, 140, 141, 143}
)


def numbers(text: str) -> set[int]:
    """The cases that a list such as `1–3, 5` names."""
    found: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:[–-](\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def named(file: Path) -> set[int]:
    """The cases that a file's docstrings, names and tables of tests name."""
    text = file.read_text()
    docstrings = re.findall(r'(?:"""|\n)Cases? ([\d, –-]+(?:and \d+)?)', text)
    functions = re.findall(r"def test_case_([\d_]+(?:to_\d+)?)", text)
    spans = [re.sub(r"_to_", "-", name).replace("_", ",") for name in functions]
    return numbers(", ".join(docstrings + spans))


def table(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, or before the first one."""
    section = LIST.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize("row", table("# Integration suite"), ids=lambda row: row[0])
def test_each_file_names_its_cases(row: list[str]) -> None:
    """What the list says of a file, its tests say of themselves."""
    files = [INTEGRATION / name for name in re.findall(r"`([\w/]+\.py)`", row[0])]
    assert files or (INTEGRATION / row[0].strip("`")).is_dir()
    assert numbers(row[2]) <= set().union(*map(named, files))


@pytest.mark.parametrize("row", table("## Elsewhere"), ids=lambda row: row[0])
def test_cases_that_are_elsewhere_are_there(row: list[str]) -> None:
    """So do the files outside the suite's own folder."""
    files = [ROOT / name for name in re.findall(r"`(tests/[\w/]+\.py)`", row[1])]
    files += [INTEGRATION / name for name in re.findall(r"`((?!tests/)[\w/]+\.py)`", row[1])]
    files += (ROOT / "tests" / "attacks").glob("*.py") if "../attacks" in row[1] else []
    assert not files or numbers(row[0]) <= set().union(*map(named, files))


def test_no_case_of_the_wire_is_missing() -> None:
    """Each is tested, or decided otherwise with a reason."""
    listed = [row[2] for row in table("# Integration suite")]
    listed += [row[0] for heading in ("## Elsewhere", "## Decided otherwise than a case asks")
               for row in table(heading)]  # fmt: skip
    assert numbers(", ".join(listed)) >= WIRE
