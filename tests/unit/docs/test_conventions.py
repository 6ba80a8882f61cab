"""Conventions of CONTRIBUTING.md that no linter checks."""

import ast
import re
import tomllib
from collections import defaultdict
from pathlib import Path

import gateway

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


def test_no_pattern_has_a_possessive_group() -> None:
    """CPython before 3.11.5 matches them wrongly (python/cpython#106052): "chunked," as a list.

    A single character or set may be possessive; a group need not be, where no part of it can match
    what follows it.
    """
    possessive = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+|\(\?>")
    found = [
        f"{path.relative_to(ROOT)}: {node.value!r}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str | bytes)
        and possessive.search(_without_sets(node.value))
    ]
    assert found == []


def _without_sets(pattern: str | bytes) -> str:
    """The pattern with `x` in place of each character set, where quantifiers are characters."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    return re.sub(r"\[(?:\\.|[^\]\\])*\]", "x", text)


def test_the_package_shows_the_layers_that_are_checked() -> None:
    """The picture in its docstring is what import-linter holds, in the same order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = project["tool"]["importlinter"]["contracts"]
    checked = [name for layer in contract["layers"] for name in re.findall(r"\w+", layer)]
    picture = (gateway.__doc__ or "").split(":\n\n", 1)[1]
    assert re.findall(r"\w+", re.sub(r"\(.*?\)", "", picture)) == checked


def test_the_mutation_runs_files_exist() -> None:
    """What is mutated, what is not, and what is run."""
    mutmut = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    lists = ("only_mutate", "do_not_mutate", "pytest_add_cli_args_test_selection")
    paths = [path for name in lists for path in mutmut[name]]
    assert [path for path in paths if not list(ROOT.glob(path))] == []
