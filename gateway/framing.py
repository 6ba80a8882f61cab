"""How HTTP/1.1 messages are framed (RFC 9112): the rules that hold on both sides of the gateway.

Rule: pure; knows neither callers nor the upstream: each side turns `FramingError` into its own.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"  # RFC 9110 5.6.2
# A field, from the LF in front of it: a line that is no field cannot match from its middle on. That
# no line holds a control character, a bare CR or LF among them, is seen by counting, in one go.
FIELD: Final = re.compile(rb"\n(" + TOKEN + rb"+):(.*)")
CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09})

VISIBLE: Final = bytes(range(0x21, 0x7F))  # ASCII
TARGET_BYTES: Final = VISIBLE.replace(b"#", b"")  # a request target has no fragment: RFC 9112 3.2

# RFC 9112 6.3: whatever their heads say, these replies have no body; nor has one to HEAD.
BODILESS: Final = frozenset({204, 304})
# RFC 9110 15.3.5, 15.3.6: a body that comes with these all the same is dropped.
NO_CONTENT: Final = frozenset({204, 205})

LAST_CHUNK: Final = b"0\r\n\r\n"
# As Go's net/http/internal/chunked: chunk lines that are more than what their data is worth.
MAX_CHUNK_EXCESS: Final = 16 * 1024
MOST_PIECES: Final = 128  # of a body that are kept apart: each takes 40 bytes beside its own

_SIZE, _DATA_END, _TRAILERS = range(3)  # what the next line of a chunked body must be


class FramingError(ValueError):
    """A chunked body is malformed. Its text holds nothing of what was sent."""


class ChunkRules(NamedTuple):
    """How lenient to be: a chunk's first line with its size as group 1, and bounds in bytes."""

    size_line: re.Pattern[bytes]
    max_line: int
    max_trailers: int


class ChunkedDecoder:
    """Takes a chunked body (RFC 9112 7.1) apart. Extensions and trailers are checked and dropped.

    `decoded` counts the bytes of its data so far.
    """

    __slots__ = ("_begun", "_excess", "_expected", "_left", "_rules", "_trailers", "decoded")

    def __init__(self, rules: ChunkRules) -> None:
        self.decoded = 0
        self._rules = rules
        self._begun = b""  # a line whose end has not come yet
        self._left = 0  # bytes of this chunk's data still to come
        self._excess = 0
        self._trailers = 0
        self._expected = _SIZE

    def decode(self, data: bytes, pieces: list[bytes]) -> bytes | None:
        """Appends the body's data to `pieces`; what follows the body, or None while it goes on.

        Raises FramingError; what came in front of the fault is among the pieces by then.
        """
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                self.decoded += len(piece)
                continue
            end = data.find(b"\n", at) + 1 or len(data)
            line, at = self._begun + data[at:end], end
            if self._is_whole(line) and self._read(line):
                return data[at:]
        return None

    def _is_whole(self, line: bytes) -> bool:
        if len(line) > self._rules.max_line:
            raise FramingError("A chunk or trailer line is too long.")
        whole = line.endswith(b"\n")
        self._begun = b"" if whole else line
        if not whole and self._expected == _DATA_END and line != b"\r":
            raise FramingError("A chunk does not end where its size says.")
        return whole

    def _read(self, line: bytes) -> bool:
        """True at the body's end: the blank line behind the trailers (RFC 9112 7.1.2)."""
        if self._expected == _SIZE:
            self._read_size(line)
        elif self._expected == _DATA_END:
            if line != b"\r\n":
                raise FramingError("A chunk does not end where its size says.")
            self._expected = _SIZE
        elif line == b"\r\n":
            return True
        else:
            self._check_trailer(line)
        return False

    def _read_size(self, line: bytes) -> None:
        match = self._rules.size_line.fullmatch(line)
        if match is None:
            raise FramingError("A chunk size is malformed.")
        size = int(match[1], 16)
        self._excess = max(self._excess + len(line) - 16 - 2 * size, 0)
        if self._excess > MAX_CHUNK_EXCESS:
            raise FramingError("The chunked body is mostly framing.")
        self._left = size
        self._expected = _DATA_END if size else _TRAILERS

    def _check_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        controls = len(line) - len(line.translate(None, CONTROLS))
        lawful = FIELD.match(b"\n" + line) and line.endswith(b"\r\n") and controls == 2
        if self._trailers > self._rules.max_trailers or not lawful:
            raise FramingError("The trailers are malformed or too long.")


def chunk(data: bytes) -> bytes:
    """A piece of a body as a chunk; nothing for an empty one, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def compact(pieces: list[bytes]) -> None:
    """Joins pieces that have become many."""
    if len(pieces) >= MOST_PIECES:
        pieces[:] = [b"".join(pieces)]


def joined_lines(lines: Sequence[bytes]) -> bytes:
    """Lines of a head with CRLF between them.

    Raises ValueError if one holds a CR, LF or NUL: it would read as something else.
    """
    text = b"".join(lines)  # three searches cost less than a look at each line, or counting CRLFs
    if 0x0A in text or 0x0D in text or 0 in text:
        raise ValueError("a field would break the head")
    return b"\r\n".join(lines)
