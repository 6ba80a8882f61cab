"""`attacks.md` is the table that the tests run: none is missing, none is told otherwise."""

import ast
from itertools import starmap
from pathlib import Path

from tests.integration.identity import attack_table


def test_table_is_whole_and_true() -> None:
    """Each attack of the code with its request and its answer, as it is written."""
    assert attack_table.FILE.read_text() == attack_table.text()


def test_the_tests_that_it_names_are_there() -> None:
    """What is shown elsewhere is shown by a test of that name."""
    assert all(starmap(_defines, attack_table.elsewhere()))


def _defines(file: Path, function: str) -> bool:
    found = ast.walk(ast.parse(file.read_text()))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return any(isinstance(node, kinds) and node.name == function for node in found)
