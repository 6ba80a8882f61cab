"""A TOML file becomes a tree of plain values. Rule: whatever is wrong with the file is a `Problem`.

The bytes and the permissions come from one open file, so that they belong to the same version.
"""

import os
import pickle
import re
import stat
import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.errors import refused

_POSITION: Final = re.compile(r" \((at (?:line [0-9]+, column [0-9]+|end of document))\)$")

# What the parser quotes but for single characters: keys, which may be secrets.
_NAMES: Final = re.compile(r"\(['\"].*\)|'.{3,}'|\".{3,}\"")

# What is right where the parser says this: its words, which differ a little between versions.
_RIGHT: Final = (
    (
        "Invalid value",
        'a TOML value: text in quotes ("…"), true and false in small letters, brackets closed',
    ),
    ("Invalid initial character for a key", "a table in braces on one line, or one of its own"),
    ("Expected '='", "TOML, such as port = 8585"),
    ("Expected ']'", "TOML: a heading such as [listen]"),
    ("Expected newline", "TOML: one `name = value` in each line, text in quotes"),
    ("Invalid statement", "TOML: `name = value`, a [heading] or a # comment in each line"),
    ("Illegal character", "TOML: text that ends, with its quote, on the same line"),
    ("Unescaped", "TOML: text with backslashes in single quotes, '…'"),
    ("Cannot overwrite", "each name once"),
    ("Cannot declare", "each table once"),
)


class Contents(NamedTuple):
    """A file's bytes, and whether nobody but this process's user and groups may read it."""

    data: bytes
    private: bool


def read(path: Path, what: str) -> Contents:
    """The file as it is. `what` names it in the `ConfigurationError` if it cannot be read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):  # a FIFO, or a device such as /dev/zero, might never end
            with path.open("rb") as file:
                return Contents(file.read(), is_private(os.fstat(file.fileno())))
        found = "a directory" if stat.S_ISDIR(mode) else "a pipe or device, not a regular file"
    except FileNotFoundError:
        found = "no such file"
    except PermissionError:
        found = "a file that this process may not read"
    except (OSError, ValueError) as error:
        found = f"a file that cannot be read ({type(error).__name__})"
    raise refused(str(path), "", found, what)


def is_private(status: os.stat_result) -> bool:
    """True if others have no permission on the file, and its group only if it is one of ours.

    This is how Kubernetes mounts secrets with an `fsGroup`.
    """
    if status.st_mode & stat.S_IRWXO:
        return False
    ours = {os.getegid(), *os.getgroups()}
    return not status.st_mode & stat.S_IRWXG or status.st_gid in ours


def parse(path: Path, data: bytes) -> dict[str, Any]:
    """The file's TOML. Raises `ConfigurationError`, also if it holds no table at all.

    A file without any table is one that is being written, or was cut off.
    """
    # What the parser needs meanwhile is three times as much as the tree and lies between its parts.
    # While any text of the file is kept, none of that would go back to the operating system.
    apart = pickle.dumps(_tree(path, _text(path, data)))
    tree: dict[str, Any] = pickle.loads(apart)  # noqa: S301 - made here
    if not any(isinstance(value, dict | list) for value in tree.values()):
        expected = "at least one table: a file without any is taken for a partial write"
        raise refused(str(path), "", "no table at all", expected)
    return tree


def _text(path: Path, data: bytes) -> str:
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise refused(str(path), "", "a byte order mark", "UTF-8 without byte order mark")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refused(str(path), f"line {line}", "bytes that are not UTF-8", "UTF-8") from None


def _tree(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        expected = "tables and lists as in config/gateway.toml"
        raise refused(str(path), "", "values nested too deeply", expected) from None
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
        match = _POSITION.search(reason)
        where = match[1].removeprefix("at ") if match else ""
        found = f"a syntax error: {_NAMES.sub('…', _POSITION.sub('', reason))}"
        right = next((text for words, text in _RIGHT if reason.startswith(words)), "TOML")
        raise refused(str(path), where, found, right) from None
    except ValueError:
        raise refused(str(path), "", "an integer with too many digits", "a smaller one") from None
