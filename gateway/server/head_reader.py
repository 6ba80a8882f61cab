"""Reads the request heads of one connection: in full, or by how they differ from an earlier one.

Rule: pure; what `parse_request_head` would refuse, or read otherwise, is never taken for known.
"""

from typing import Final

from gateway.framing import TARGET_BYTES
from gateway.inbound import DECIDING
from gateway.known_head import MOST_BYTES, MOST_FIELDS, KnownRequest, position, remember
from gateway.server.http1 import (
    LENGTH_DIGITS,
    RequestHead,
    origin_part_of,
    parse_request_head,
)
from gateway.upstream.target import METHODS

# Of the others no head is remembered.
_METHODS: Final = {method.encode(): method for method in METHODS}
# Whoever calls sends requests of two kinds, say: with a body, and without. They differ in how many
# fields they have.
_MOST: Final = 2
# Where so many heads in a row were new, as behind a proxy that many callers share, only each so
# many-th is remembered.
_PATIENCE: Final = 16
# Whose value decides something of which a `KnownRequest` keeps what was decided.
_FIXED: Final = DECIDING | {b"connection", b"expect", b"host", b"transfer-encoding"}


class HeadReader:
    """The heads of one connection."""

    __slots__ = ("_known", "_misses")

    def __init__(self) -> None:
        self._known: dict[int, KnownRequest] = {}  # by how many fields they have
        self._misses = 0

    def read(self, head: bytes, max_headers: int) -> RequestHead:
        """See `parse_request_head`; `max_headers` is the same for all of them."""
        end = head.find(b"\r\n")
        parts = head[:end].split(b" ")
        if len(parts) != 3 or parts[2] != b"HTTP/1.1":
            return parse_request_head(head, max_headers)
        target = parts[1]
        method = _METHODS.get(parts[0])
        if method is None or not target or target.translate(None, TARGET_BYTES):
            return parse_request_head(head, max_headers)  # which says what is wrong with it
        fields = head[end + 2 :][:-4]
        lines = fields.split(b"\r\n")
        known = self._known.get(len(lines))
        if known is not None:
            request = _as_known(known, method, target, lines)
            if request is not None:
                self._misses = 0
                return request
        request = parse_request_head(head, max_headers)
        self._misses += 1
        if self._misses <= _PATIENCE or self._misses % _PATIENCE == 0:
            self._remember(request, fields, known)
        return request

    def _remember(self, request: RequestHead, fields: bytes, before: KnownRequest | None) -> None:
        headers = request.headers
        count = len(headers)
        id_at, trace_at = position(headers, b"x-request-id"), position(headers, b"traceparent")
        if len(fields) > MOST_BYTES or not 0 < count <= MOST_FIELDS or min(id_at, trace_at) == -2:
            self._known.pop(count, None)
            return
        known_before = None if before is None else before.lines
        known = KnownRequest(
            remember(fields.split(b"\r\n"), headers, known_before, _FIXED), id_at, trace_at
        )
        known.length = request.content_length
        length_at = position(headers, b"content-length")
        known.length_at = length_at if length_at in known.lines.varying else -1
        known.keep_alive = request.keep_alive
        known.expects = position(headers, b"expect") >= 0
        self._known.pop(count, None)
        for other, kept in tuple(self._known.items()):
            if len(self._known) >= _MOST or kept.lines.size + len(fields) > MOST_BYTES:
                del self._known[other]
        self._known[count] = request.known = known


def _as_known(
    known: KnownRequest, method: str, target: bytes, lines: list[bytes]
) -> RequestHead | None:
    """A 1.1 head that has these lines; None unless it differs from what is known by values only."""
    headers = known.lines.fields(lines)
    if headers is None:
        return None
    length = known.length
    if known.length_at >= 0:
        digits = headers[known.length_at][1]
        if not digits.isdigit() or len(digits) > LENGTH_DIGITS:
            return None
        length = int(digits)
    origin_part = target if target[0] == 0x2F else origin_part_of(method, target)
    path, _, query = origin_part.partition(b"?")
    return RequestHead(
        method,
        target,
        path,
        query,
        "1.1",
        headers,
        length,
        known.keep_alive,
        known.expects and length != 0,
        known,
    )
