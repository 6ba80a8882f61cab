"""Conventions of CONTRIBUTING.md that no linter checks."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[3]
FILES = sorted((ROOT / "gateway").rglob("*.py"))
LONGEST_FILE = 300
LONGEST_FUNCTION = 50


def test_no_file_is_long() -> None:
    """At most 300 lines."""
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {path: count for path, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_function_is_long() -> None:
    """At most 50 lines, from `def` to its end."""
    lines = {
        f"{path.relative_to(ROOT)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: count for name, count in lines.items() if count > LONGEST_FUNCTION} == {}


def test_one_name_is_one_class() -> None:
    """No two classes share a name, so that a name can be searched for."""
    places = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}
