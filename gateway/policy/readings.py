"""Every way in which some server might read a path: as sent, unescaped again, without parameters …

Rule: pure; its work is bounded. A path that can be read in too many ways has no readings at all.
"""

from collections.abc import Sequence
from typing import Final

from gateway.invopop import spellings
from gateway.invopop.operations import is_parameter, match, match_file, segments_of, split_path
from gateway.invopop.spellings import ESCAPED_SLASH, fold_all
from gateway.invopop.table import Operation

# What all readings together may hold, in characters; slashes and escapes count for more, because
# they cost time. A path of 300 bytes may have hundreds of readings, one of 30 KiB two.
_MAX_TEXT: Final = 65_536
_EXTRA: Final = 64

_PARAMETER: Final = "without `;` parameters"
_CASE: Final = "in another letter case"


class Reading:
    """A method (`GET` for `HEAD`) and decoded path segments, and the operation that they mean.

    `how` says what was done to the path to read it so, one phrase for each step. `is_value` marks
    a reading that differs from what was sent only in that the last parameter's value is longer (an
    entry's key with a slash, a file's path) or, at the end of the path, gone (a key such as `#1`).
    """

    __slots__ = ("how", "is_value", "method", "operation", "segments")

    def __init__(
        self, method: str, segments: Sequence[str], operation: Operation | None, how: str = ""
    ) -> None:
        self.method = method
        self.segments = segments
        self.operation = operation
        self.how = how
        self.is_value = False

    def __str__(self) -> str:
        return self.how or "as sent"

    @property
    def folded(self) -> bool:
        """Whether letter case was disregarded."""
        return _CASE in self.how


def read_as_sent(method: str, path: bytes) -> Reading:
    """A raw path as a caller means it. Raises UnicodeDecodeError if it is not UTF-8."""
    method = "GET" if method == "HEAD" else method
    segments = split_path(path)
    return Reading(method, segments, match(method, segments) or match_file(method, path))


def other_readings(sent: Reading, path: bytes) -> list[Reading] | None:
    """The other ways to read a path, the simplest first; None if they are too many to judge.

    `path` is the raw one. None also stands for a reading with dot segments, which leads elsewhere.
    """
    texts = _texts(sent.segments, path)
    if texts is None:
        return None
    readings: dict[tuple[str, ...], Reading] = {}
    for text, how in texts.items():
        parts = [part.replace(ESCAPED_SLASH, "/") for part in text.split("/") if part]
        if "." in parts or ".." in parts:
            return None
        segments = tuple(parts)
        if segments == sent.segments or segments in readings:
            continue
        reading = Reading(sent.method, segments, match(sent.method, segments), how)
        reading.is_value = reading.operation is None and _is_value(sent, segments)
        readings[segments] = reading
    return list(readings.values())


def _is_value(sent: Reading, other: Sequence[str]) -> bool:
    if sent.operation is None:
        return False
    template = segments_of(sent.operation.template)
    last = max((at for at, part in enumerate(template) if is_parameter(part)), default=None)
    if last is None:
        return False
    behind = len(template) - last - 1
    if len(other) < len(sent.segments) and (behind or len(other) < last):
        return False
    kept = (*sent.segments[:last], *sent.segments[len(sent.segments) - behind :])
    return fold_all(kept) == fold_all((*other[:last], *other[len(other) - behind :]))


def _texts(segments: Sequence[str], path: bytes) -> dict[str, str] | None:
    """Every text that steps lead to, with the steps; a step may be taken again after another."""
    first = "/".join([segment.replace("/", ESCAPED_SLASH) for segment in segments])
    found = {first: ""}
    if b";" in path:
        cut = spellings.drop_parameters(path[1:].decode("ascii"))
        found.setdefault(spellings.unescape(cut), _PARAMETER)
    queue = list(found)
    room = _MAX_TEXT - _EXTRA * first.count("%")
    for text in queue:
        for step, change in _STEPS:
            new = change(text)
            if new in found:
                continue
            room -= len(new) + _EXTRA * (new.count("/") + new.count("%"))
            if room < 0:
                return None
            before = found[text]
            found[new] = before if step in before else f"{before}, {step}" if before else step
            queue.append(new)
    return found


_STEPS: Final = (
    (_CASE, spellings.fold),
    ("with %2F read as a slash", spellings.separate),
    (_PARAMETER, spellings.drop_parameters),
    ("without surrounding blanks or trailing dots", spellings.trim),
    ("unescaped again", spellings.unescape),
    ("up to an escaped ? or #", spellings.cut_off),
    ("without an extension", spellings.drop_extensions),
)
