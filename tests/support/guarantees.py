"""The guarantees as `SECURITY.md` states them, and which tests hold each."""

import ast
import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
_STATED: Final = re.compile(
    r"^\*\*(G[0-9]+)\.\*\* (.+?)\nTested by (.+?)\.$", re.MULTILINE | re.DOTALL
)


class Guarantee(NamedTuple):
    """Its sentence on one line, and its tests as `PATH::NAME`."""

    sentence: str
    tests: tuple[str, ...]


def stated() -> dict[str, Guarantee]:
    """What `SECURITY.md` promises, by number."""
    text = (ROOT / "SECURITY.md").read_text()
    return {
        number: Guarantee(_one_line(sentence), tuple(re.findall(r"`([^`]+)`", tests)))
        for number, sentence, tests in _STATED.findall(text)
    }


def names_in(path: Path) -> set[str]:
    """The names of a file's test functions."""
    made = ast.parse(path.read_text()).body
    functions = [n for n in made if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return {function.name for function in functions if function.name.startswith("test_")}


def _one_line(text: str) -> str:
    return " ".join(text.split())
