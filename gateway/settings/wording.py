"""How problems are worded: key paths, what was found, the nearest known name, the report. Pure.

Rule: of what may be a secret, by its place or its look, only the type is shown.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import date, time
from difflib import get_close_matches
from itertools import groupby
from typing import Any, Final

from gateway.errors import Problem

KeyPath = tuple[str | int, ...]

# Values at or below a member of these names are never shown.
_HIDDEN: Final = frozenset(
    {
        "hash", "identity", "key", "placeholder_tokens", "previous", "role_id", "secret",
        "secret_id", "storage_password", "token", "tokens", "value",
    }
)  # fmt: skip
# Caller tokens, JWTs (as Invopop's keys are), and any other long run of letters and digits.
_SECRET_LOOK: Final = re.compile(r"(igw_|eyJ)[\w.-]+|(?=[A-Za-z_+=]*[0-9])[A-Za-z0-9_+=]{24,}")
# A JWT, as Invopop's keys are, or a caller token: nobody names a file, variable or secret so.
_TOKEN: Final = re.compile(r"eyJ[\w-]+\.eyJ|(?<![A-Za-z0-9])igw_[\w-]{16}")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST: Final = 80
_MOST_BITS: Final = 64  # of an integer: TOML allows no more, and Python prints no very long one
_TYPES: Final = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a number"),
    (str, "a string"),
    (list | tuple, "a list"),
    (date | time, "a date or time"),
)


def key_path(path: KeyPath) -> str:
    """As an operator would write it: `callers.billing.tokens[1].hash`, quoted as in TOML."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{_name(part)}" if text else _name(part)
    return text


def _name(part: str) -> str:
    return masked(part) if _BARE.fullmatch(part) else masked(json.dumps(part))


def describe(value: Any, path: KeyPath) -> str:
    """What was found at `path`, without a secret: the value if it is plain, else its type."""
    if isinstance(value, dict):
        names = ", ".join(_name(name) for name in list(value)[:8])
        return f"a table with {names}" if value else "an empty table"
    if isinstance(value, list) and not value:
        return "an empty list"
    kind = next((words for type_, words in _TYPES if isinstance(value, type_)), "a value")
    if not _HIDDEN.isdisjoint(path) or isinstance(value, list):
        return "an empty string" if value == "" else kind
    if isinstance(value, str):
        return _shown(value)
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return kind
    return f"{str(value).lower() if isinstance(value, bool) else value}"[:_LONGEST]


def _shown(text: str) -> str:
    if "@" in text:
        return 'a string with "@", perhaps a password'
    if len(text) > _LONGEST:
        return f"a string of {len(text)} characters"
    scheme, mark, rest = text.partition("://")
    if mark and (cut := re.search(r"[?#]", rest)):
        text = f"{scheme}://{rest[: cut.end()]}…"
    return masked(json.dumps(text))


def masked(text: str) -> str:
    """The text without what looks like a token or a key."""
    return _SECRET_LOOK.sub("[redacted]", text)


def is_token(text: str) -> bool:
    """Whether this is a key or token, where the name of a place should be."""
    return _TOKEN.search(text) is not None


def nearest(name: str, known: Iterable[str]) -> str:
    """Says which known name is most similar."""
    matches = get_close_matches(name, known, n=1, cutoff=0.0)
    return f"a known key; the nearest is `{matches[0]}`" if matches else "nothing here"


def render(problems: Sequence[Problem]) -> str:
    """All problems, file by file in the order of reading, for stderr; no newline at the end."""
    order = list(dict.fromkeys(problem.file for problem in problems))
    ordered = sorted(problems, key=lambda problem: order.index(problem.file))
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
    lines = [f"The configuration is refused: {count}."]
    for file, group in groupby(ordered, key=lambda problem: problem.file):
        lines += ["", file]
        for problem in group:
            lines += [f"  {problem.key}"] if problem.key else []
            lines += [f"    found     {problem.found}", f"    expected  {problem.expected}"]
    return "\n".join(printable(line) for line in lines)


def printable(text: str) -> str:
    """The text with control characters written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
