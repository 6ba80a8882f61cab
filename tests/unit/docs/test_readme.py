"""The tables of commands, errors and metrics, held against the code; the README's length."""

import re
from pathlib import Path

import pytest

from gateway.cli import COMMANDS
from gateway.errors import KINDS
from gateway.observe.families import (
    FAMILIES,
    OUTCOMES,
    PHASES,
    RETRY_REASONS,
    SOURCES,
    STATES,
    UPSTREAM_KINDS,
)

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
METRICS = (ROOT / "deploy" / "metrics.md").read_text()
ERRORS = (ROOT / "config" / "errors.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = page.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_metric_is_in_the_table() -> None:
    """Each family with its kind, labels and meaning, and nothing that is not there."""
    assert rows(METRICS, "## Metrics") == [
        [f"`{f.name}`", f.kind, ", ".join(f"`{label}`" for label in f.labels) or "–", f.meaning]
        for f in FAMILIES
    ]


@pytest.mark.parametrize(
    "closed", [PHASES, STATES, RETRY_REASONS, UPSTREAM_KINDS, OUTCOMES, SOURCES]
)
def test_the_closed_lists_are_written_out(closed: tuple[str, ...]) -> None:
    """Every value that a label of a closed list can have is named, in order."""
    text = " ".join(METRICS.split("The closed lists:", 1)[1].split("\n## ", 1)[0].split())
    assert ", ".join(f"`{value}`" for value in closed) in text


def test_every_error_is_in_the_table() -> None:
    """Each error key with its statuses and what to do."""
    table = {
        key.strip("`"): (statuses, advice)
        for statuses, key, advice in rows(ERRORS, "# Errors, retries and the circuit")
    }
    assert table.keys() == KINDS.keys()
    for key, kind in KINDS.items():
        statuses, advice = table[key]
        assert str(kind.status) in statuses.split(", ")
        assert advice


def test_every_command_is_in_the_table() -> None:
    """Each command of the program, and no other."""
    named = {re.match(r"`([\w-]+)", row[0])[1] for row in rows(README, "## Commands")}  # type: ignore[index]
    assert named == set(COMMANDS)


def test_the_readme_is_short() -> None:
    """A page to land on; everything else stands beside what it describes."""
    assert README.count("\n") < 200


def test_the_two_commands_are_word_for_word() -> None:
    """What a newcomer types first, and what continuous integration runs."""
    test_command = "pip install -q uv && uv run pytest"
    assert f"\n{test_command}\n" in README
    assert "\npip install -q uv && uv run --no-dev invopop-gateway demo\n" in README
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith(test_command)
