"""The heads of the replies that came by one connection, each read once but for values that vary.

Rule: pure; knows only replies after which the connection can be used again, and none with a cookie.
"""

from typing import Final

from gateway.framing import BODILESS
from gateway.known_head import MOST_BYTES, MOST_FIELDS, KnownReply, position, remember
from gateway.model import Headers

_MOST: Final = 2  # kinds of replies: by their status line
# Whose value decides something of which a `KnownReply` keeps what was decided.
_FIXED: Final = frozenset({b"connection", b"location", b"proxy-status", b"transfer-encoding"})
_NOT_KEPT: Final = frozenset({b"set-cookie", b"set-cookie2"})


class KnownReplies:
    """Those of one connection."""

    __slots__ = ("_by_status_line",)

    def __init__(self) -> None:
        self._by_status_line: dict[bytes, KnownReply] = {}

    def find(self, head: bytes) -> tuple[KnownReply, Headers] | None:
        """What is known of such a head, and its fields."""
        end = head.find(b"\r\n")
        known = self._by_status_line.get(head[:end])
        if known is None:
            return None
        headers = known.lines.fields(head[end + 2 :][:-4].split(b"\r\n"))
        return None if headers is None else (known, headers)

    def add(self, head: bytes, status: int, headers: Headers, length: int | None) -> None:
        """Remembers a head that was read in full: `length` is the body's, None if it is chunked."""
        end = head.find(b"\r\n")
        first = head[:end]
        before = self._by_status_line.pop(first, None)
        lines = head[end + 2 :][:-4].split(b"\r\n")
        if len(head) > MOST_BYTES or status in BODILESS or not _are_lines_of(headers, lines):
            return
        known = KnownReply(
            remember(lines, headers, before.lines if before is not None else None, _FIXED),
            status,
            length,
        )
        length_at = position(headers, b"content-length")
        known.length_at = length_at if length_at in known.lines.varying else -1
        for other, kept in tuple(self._by_status_line.items()):
            if len(self._by_status_line) >= _MOST or kept.lines.size + len(head) > MOST_BYTES:
                del self._by_status_line[other]
        self._by_status_line[first] = known


def _are_lines_of(headers: Headers, lines: list[bytes]) -> bool:
    """Whether each line is one of the fields, as the parser read them."""
    if len(lines) != len(headers) or len(headers) > MOST_FIELDS:
        return False
    for at, (name, value) in enumerate(headers):
        said, _, text = lines[at].partition(b":")
        if said.lower() != name or text.strip(b" \t") != value or name in _NOT_KEPT:
            return False
    return True
