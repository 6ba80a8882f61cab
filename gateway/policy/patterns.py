"""The entries of `allow` and `deny`, compiled: operations by name, or `METHOD /path` patterns.

Rule: decides; does no I/O. An entry that could never match is a problem, not a rule that sleeps.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import translate
from typing import Final, NamedTuple

from gateway.errors import Problem
from gateway.invopop.operations import (
    VERSION,
    gives_credentials,
    is_parameter,
    names,
    segments_of,
)
from gateway.invopop.presets import PRESETS, expand, globs
from gateway.invopop.spellings import fold_all
from gateway.invopop.table import CREDENTIALS, FILE_OPERATIONS, OPERATIONS, OTHER, Operation

ANY: Final = "*"
ANY_NUMBER: Final = "**"

_METHODS: Final = (ANY, "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_EXAMPLE: Final = "silo.entries.create"
_ENTRY: Final = re.compile(r"(?P<method>\S+) +(?P<path>/.*)")
# What no decoded segment of a lawful path holds, and what would be meant as more than itself.
_SEGMENT: Final = re.compile(r"\*\*?|(?!\.\.?\Z)[^\x00-\x1f\x7f*?#%{}\\]+")


class Pattern(NamedTuple):
    """`METHOD /path`: `*` is any method, or any one segment; `**` any number of segments."""

    method: str
    segments: tuple[str, ...]

    def matches(self, method: str, segments: Sequence[str]) -> bool:
        """Whether it covers the method (`GET` for `HEAD`) and the decoded path segments.

        Only the last `**` is ever tried again: time is at most pattern × path, however many.
        """
        if self.method not in (ANY, method):
            return False
        at = position = resumed = 0
        last = -1
        while position < len(segments):
            expected = self.segments[at] if at < len(self.segments) else None
            if expected == ANY_NUMBER:
                last, resumed, at = at, position, at + 1
            elif expected in (ANY, segments[position]):
                at, position = at + 1, position + 1
            elif last >= 0:
                resumed += 1
                at, position = last + 1, resumed
            else:
                return False
        return all(segment == ANY_NUMBER for segment in self.segments[at:])


_Parse = Callable[[str], Pattern | frozenset[str] | str]


class PolicyRules(NamedTuple):
    """One caller's `allow` or `deny`: what is covered, and by which entry, as a key path.

    The last two are of a `deny` only, held against what the table does not know: `below` are the
    paths of what is denied, with all that lies below them, and `globs` its globs.
    """

    names: Mapping[str, str]
    patterns: tuple[tuple[str, Pattern], ...]
    below: tuple[tuple[str, Pattern], ...] = ()
    globs: tuple[tuple[str, re.Pattern[str]], ...] = ()

    def find(self, method: str, segments: Sequence[str], operation: Operation | None) -> str | None:
        """The key path of an entry that covers the request, or None. Names come before patterns."""
        rule = self.names.get(operation.name if operation else OTHER)
        if rule is None:
            rule = self.find_pattern(method, segments)
        if rule is None and operation is None:
            rule = self._find_unknown(segments)
        return rule

    def find_pattern(self, method: str, segments: Sequence[str]) -> str | None:
        """The key path of a `METHOD /path` entry that covers the request, or None."""
        for key, pattern in self.patterns:
            if pattern.matches(method, segments):
                return key
        return None

    def _find_unknown(self, segments: Sequence[str]) -> str | None:
        for key, pattern in self.below:
            if pattern.matches(ANY, segments):
                return key
        if self.globs:
            name = unknown_name(segments)
            return next((key for key, glob in self.globs if glob.match(name)), None)
        return None


def compile_allow(entries: Sequence[str], key: str, file: str) -> tuple[PolicyRules, list[Problem]]:
    """The rules of an `allow` list, whose key path is `key`, and every entry that is none.

    What is in no table is allowed by patterns only, what gives credentials by its exact name only.
    """
    return _compile(entries, key, file, _allowed)


def compile_deny(entries: Sequence[str], key: str, file: str) -> tuple[PolicyRules, list[Problem]]:
    """The rules of a `deny` list: wider than an `allow` list's, for what they miss is let in.

    Patterns are held case-folded too, for segments that are. An operation's name also covers what
    the table does not know at its paths (other methods) and below them; a glob also covers the
    unknown paths of its service: `access.*` denies all of `/access/`.
    """
    rules, problems = _compile(entries, key, file, _denied)
    patterns = rules.patterns + tuple(
        (where, pattern._replace(segments=fold_all(pattern.segments)))
        for where, pattern in rules.patterns
        if pattern.segments != fold_all(pattern.segments)
    )
    wild = tuple(
        (f"{key}[{index}]", re.compile(translate(glob)))
        for index, entry in enumerate(entries)
        if "/" not in entry
        for glob in globs(entry)
    )
    return PolicyRules(rules.names, patterns, _below(rules.names), wild), problems


def _compile(
    entries: Sequence[str], key: str, file: str, parse: _Parse
) -> tuple[PolicyRules, list[Problem]]:
    found: dict[str, str] = {}
    patterns: list[tuple[str, Pattern]] = []
    problems: list[Problem] = []
    for index, entry in enumerate(entries):
        where = f"{key}[{index}]"
        parsed = parse(entry)
        if isinstance(parsed, Pattern):
            patterns.append((where, parsed))
        elif isinstance(parsed, frozenset):
            found = dict.fromkeys(parsed, where) | found
        else:
            # It may be a token, pasted into the wrong place: it is not shown.
            problems.append(Problem(file, where, f"a string of {len(entry)} characters", parsed))
    return PolicyRules(found, tuple(patterns)), problems


def _below(denied: Mapping[str, str]) -> tuple[tuple[str, Pattern], ...]:
    """All that lies at or below the paths of these operations, whatever a parameter holds."""
    kept: list[tuple[str, Pattern]] = []
    rows = [row for row in (*OPERATIONS, *FILE_OPERATIONS) if row.name in denied]
    for row in sorted(rows, key=lambda row: row.template.count("/")):
        parts = [ANY if is_parameter(part) else part for part in segments_of(row.template)]
        if not any(pattern.matches(ANY, parts) for _, pattern in kept):
            kept.append((denied[row.name], Pattern(ANY, (*parts, ANY_NUMBER))))
    return tuple(kept)


def unknown_name(segments: Sequence[str]) -> str:
    """A name for a path that the table does not know: `/silo/v2/x` is `silo.x.other`."""
    return ".".join([*(part for part in segments if not VERSION.fullmatch(part)), OTHER])


def _allowed(entry: str) -> Pattern | frozenset[str] | str:
    """What an entry of `allow` stands for; else what was expected instead."""
    parsed = _denied(entry)
    if not isinstance(parsed, frozenset) or (entry in parsed and entry != OTHER):
        return parsed
    if entry == OTHER:
        return "`METHOD /path` for what is not a known operation, such as `GET /silo/v2/**`"
    usual = frozenset(name for name in parsed if name != OTHER and not gives_credentials(name))
    return usual or (
        f"exact names: replies of `{CREDENTIALS}*` hold credentials, so that no glob covers them"
    )


def _denied(entry: str) -> Pattern | frozenset[str] | str:
    """What an entry of `deny` stands for; else what was expected instead."""
    if "/" in entry or " " in entry:
        return _pattern(entry)
    return expand(entry) or f'an operation, a glob or a preset, such as "{_nearest(entry)}"'


def _pattern(entry: str) -> Pattern | str:
    """`METHOD /path` as a pattern; else what was expected instead."""
    form = _ENTRY.fullmatch(entry)
    if form is None or form["method"] not in _METHODS:
        return "`METHOD /path`, METHOD being `*` or one of " + ", ".join(_METHODS[1:])
    path = form["path"].removesuffix("/")
    segments = tuple(path.split("/")[1:])
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        return (
            "segments that are `*` (any one), `**` (any number) or plain decoded text: "
            "no escapes, braces, query, dot segments or empty segments"
        )
    return Pattern(form["method"], segments)


def _nearest(entry: str) -> str:
    """What the author of an entry that matches nothing may have meant, else just an operation."""
    services = {name.rsplit(".", count)[0] + ".*" for name in names() for count in (1, 2)}
    known = sorted({*names(), *services, *(f"@{preset}" for preset in PRESETS)})
    return next(iter(get_close_matches(entry, known, n=1)), _EXAMPLE)
