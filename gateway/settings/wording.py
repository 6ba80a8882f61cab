"""How problems are worded: key paths, what was found, the nearest known name, the report. Pure.

Rule: a text from a file is shown only if it is a number, a boolean or a known name; of any other
only the type and length are. A name that stands where names belong is shown unless it looks like a
key or token: then its fingerprint is.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import date, time
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from gateway.errors import Problem
from gateway.secret import Secret
from gateway.settings.randomness import looks_random, without_random

KeyPath = tuple[str | int, ...]

# Of values at or below a member of these names not even the length is shown.
_HIDDEN: Final = frozenset(
    {
        "hash", "identity", "key", "placeholder_tokens", "previous", "role_id", "secret",
        "secret_id", "storage_password", "token", "tokens", "value",
    }
)  # fmt: skip
# Caller tokens, JWTs (as Invopop's keys are), and keys with a usual prefix.
_PREFIXED: Final = re.compile(r"(igw_|eyJ|AGE-SECRET-KEY-)[\w.-]+|(?<![A-Za-z0-9])[sr]k_[\w.-]{8,}")
_REDACTED: Final = "[redacted]"
# A JWT, as Invopop's keys are, or a caller token: nobody names a tenant, file or secret so.
TOKEN: Final = re.compile(r"eyJ[\w-]+\.eyJ|(?<![A-Za-z0-9])igw_[\w-]{16}")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
# A scalar written as a string by mistake: it cannot be a secret.
_SCALAR: Final = re.compile(
    r"[+-]?[0-9]{1,6}(\.[0-9]{1,3})? ?[A-Za-z]{0,3}|(?i:true|false|yes|no|on|off)"
)
_SCHEME: Final = re.compile(r"(?i:https?|rediss?|memory)://")
# A name as a person would write it; keys and tokens have digits within.
_IDENTIFIER: Final = re.compile(r"(?=.{1,32}\Z)(?!sk_|rk_|igw_)[a-z]+([_-][a-z]+)*[_-]?[0-9]{0,4}")
_NEAR: Final = 0.7
_NEAREST: Final = 0.65  # below it a suggestion would only confuse
_FEW: Final = 16  # names that a message can list
_SHORT: Final = 6  # characters, of which no secret consists
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


def unknown_key(name: str, known: Iterable[str]) -> str:
    """A key that the file should not have, which may be a secret: its name, or else its length."""
    near = get_close_matches(name, known, n=1, cutoff=_NEAR)
    if near or len(name) <= _SHORT or (_IDENTIFIER.fullmatch(name) and not looks_random(name)):
        return _name(name)
    return f"(a name of {len(name)} characters)"


def _name(part: str) -> str:
    shown = masked_name(part)
    return shown if shown != part or _BARE.fullmatch(part) else json.dumps(part)


def describe(value: Any, path: KeyPath) -> str:
    """What was found at `path`, without a secret: the value if it is plain, else its type."""
    if isinstance(value, dict):
        names = ", ".join(unknown_key(name, ()) for name in list(value)[:8])
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
    if not text or _SCALAR.fullmatch(text):
        return json.dumps(text)
    if "@" in text:
        return 'a string with "@", perhaps a password'
    scheme = _SCHEME.match(text)
    beginning = f", which begins with {scheme[0].lower()}" if scheme else ""
    s = "" if len(text) == 1 else "s"
    return f"a string of {len(text)} character{s}{beginning}"


def shown_path(path: Path) -> str:
    """A path as far as it exists; what follows only if it looks like names, not like a secret."""
    try:
        there = next((place for place in (path, *path.parents) if place.exists()), Path())
        rest = path.relative_to(there).as_posix()
    except (OSError, ValueError):
        return f"(a path of {len(str(path))} characters)"
    words = re.split(r"[/.]+", rest.strip("/."))
    named = all(map(_IDENTIFIER.fullmatch, words)) and not looks_random(rest)
    if rest == "." or named:
        return str(path)
    return str(there / f"(a name of {len(rest)} characters)")


def masked(text: str) -> str:
    """The text without what looks like a token or a key."""
    return without_random(_PREFIXED.sub(_REDACTED, text), _REDACTED)


def masked_name(text: str) -> str:
    """The name of a tenant or caller; the name's fingerprint if it looks like a token or a key."""
    if _PREFIXED.search(text) or looks_random(text):
        return f"[redacted {Secret(text).fingerprint}]"
    return text


def masked_label(text: str) -> str:
    """The masked text, with the text's fingerprint if they differ: others stay other series."""
    shown = masked(text)
    return shown if shown == text else f"{shown} {Secret(text).fingerprint}"


def is_token(text: str) -> bool:
    """Whether this is a key or token, where a name should be."""
    return TOKEN.search(text) is not None


def nearest(name: str, known: Iterable[str]) -> str:
    """Says which known name was probably meant; if none is similar, all, if they are few."""
    names = list(known)
    if matches := get_close_matches(name, names, n=1, cutoff=_NEAREST):
        return f"a known key; the nearest is `{matches[0]}`"
    if 0 < len(names) <= _FEW:
        return "one of " + ", ".join(f"`{known}`" for known in names)
    return "a known key" if names else "nothing here"


def render(problems: Sequence[Problem]) -> str:
    """All problems, file by file in the order of reading, for stderr; no newline at the end."""
    order = list(dict.fromkeys(problem.file for problem in problems))
    ordered = sorted(problems, key=lambda problem: order.index(problem.file))
    count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
    lines = [f"The configuration is refused: {count}."]
    for file, group in groupby(ordered, key=lambda problem: problem.file):
        lines += ["", file]
        for problem in group:
            where = f"  (line {problem.line})" if problem.line else ""
            lines += [f"  {problem.key}{where}"] if problem.key else []
            lines += [f"    found     {problem.found}", f"    expected  {problem.expected}"]
    return "\n".join(printable(line) for line in lines)


def readable(text: str) -> str:
    r"""The text as UTF-8 can hold it: a byte of a path that is not UTF-8 is written `\xff`."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "surrogateescape" if _only_bytes(text) else "backslashreplace")
        return raw.decode("utf-8", "backslashreplace")
    return text


def _only_bytes(text: str) -> bool:
    """Whether all surrogates stand for bytes, as `os.fsdecode` makes them (PEP 383)."""
    return not any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in text)


def printable(text: str) -> str:
    """The text with control characters written as escapes."""
    text = readable(text)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
