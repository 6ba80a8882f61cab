"""Where in its file each problem is: the line, found by the problem's key path.

Rule: a line that is not certain is not named; a problem without one is as good as before.
"""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from gateway.errors import Problem
from gateway.settings.sealed import SUFFIX

_LARGEST: Final = 2**20  # bytes of a file that is searched
_LONGEST: Final = 200  # lines of one value
_PART: Final = re.compile(r'\.?(?:([A-Za-z0-9_-]+)|("(?:[^"\\]|\\.)*"))|\[([0-9]+)\]')
_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
KeyParts = tuple[str | int, ...]


def located(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems, with the line of each whose file can be read and whose key stands in it."""
    lines: dict[str, dict[KeyParts, int]] = {}
    found = []
    for problem in problems:
        if problem.file not in lines:
            lines[problem.file] = _lines(_text(problem.file))
        found.append(problem._replace(line=_line(_parts(problem.key), lines[problem.file])))
    return tuple(found)


def _text(name: str) -> str:
    path = Path(name)
    try:
        if path.suffix == SUFFIX or not path.is_file() or path.stat().st_size > _LARGEST:
            return ""
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""


def _parts(key: str) -> KeyParts:
    """The key path as it was worded; as much of it as can be read back."""
    parts: list[str | int] = []
    at = 0
    while match := _PART.match(key, at):
        at = match.end()
        bare, quoted, index = match.groups()
        if index is not None:
            parts.append(int(index))
        elif quoted is not None:
            parts.append(tomllib.loads(f"k = {quoted}")["k"])
        else:
            parts.append(bare)
    return tuple(parts)


def _line(parts: KeyParts, lines: dict[KeyParts, int]) -> int:
    """The line of the key itself, else of the table or list that it is in, or should be in."""
    return next((lines[parts[:n]] for n in range(len(parts), 0, -1) if parts[:n] in lines), 0)


def _lines(text: str) -> dict[KeyParts, int]:
    """The line on which each table begins and each setting stands, by key path."""
    found: dict[KeyParts, int] = {}
    counts: dict[KeyParts, int] = {}
    table: KeyParts = ()
    statement, begun = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not statement and (header := _HEADER.fullmatch(line)):
            table = _table(header[2], header[1] == "[[", counts)
            found.setdefault(table, number)
            continue
        begun = begun if statement else number
        statement += line + "\n"
        tree = _tree(statement)
        if tree is None and number - begun < _LONGEST:
            continue  # a value of several lines
        for path in _paths(tree or {}):
            found.setdefault((*table, *path), begun)
        statement = ""
    return found


def _table(name: str, listed: bool, counts: dict[KeyParts, int]) -> KeyParts:
    path: KeyParts = ()
    for part in next(iter(_paths(_tree(f"{name} = 0") or {})), (name,)):
        path = (*path, part)
        if path in counts:  # the newest table of a list
            path = (*path, counts[path])
    if not listed:
        return path
    base = path[:-1] if path and isinstance(path[-1], int) else path
    counts[base] = counts.get(base, -1) + 1
    return (*base, counts[base])


def _tree(statement: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(statement)
    except (ValueError, RecursionError):
        return None


def _paths(tree: Any) -> list[KeyParts]:
    """The path of every member, the deepest first."""
    members = tree.items() if isinstance(tree, dict) else enumerate(tree)
    paths: list[KeyParts] = []
    for name, member in members:
        if isinstance(member, dict | list):
            paths += [(name, *path) for path in _paths(member)]
        paths.append((name,))
    return paths
