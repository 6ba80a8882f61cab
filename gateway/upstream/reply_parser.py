"""The reply parser: bytes in; status, headers and body pieces out. Strict, as RFC 9112 asks.

Rule: no I/O, no clock. llhttp reads the head; where a reply ends is decided here, to the byte, so
that bytes after it are known to be left over. Raises UpstreamError for every invalid reply.
"""

import re
from typing import Final

import httptools

from gateway.framing import BODILESS, MOST_PIECES, ChunkedDecoder, ChunkRules, FramingError, compact
from gateway.known_head import KnownReply
from gateway.model import Headers
from gateway.upstream.failures import failure
from gateway.upstream.known_replies import KnownReplies

MAX_HEAD: Final = 128 * 1024
MAX_HEADERS: Final = 512
MAX_INTERIM: Final = 5  # 1xx replies before the final one; Go's net/http has the same cap
CHUNK_RULES: Final = ChunkRules(
    # Extensions may be anything that is visible (RFC 9112 7.1.1): nothing is done with them.
    re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r\n"),
    max_line=4096 + 2,
    max_trailers=16 * 1024,
)

# RFC 9112 4: llhttp lets control characters pass in the reason phrase.
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] [0-9]{3}(?: [\t\x20-\x7e\x80-\xff]*)?\r\n")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding", b"connection"})

_LENGTH, _CHUNKED, _UNTIL_CLOSE = range(3)  # what tells where the body ends


class ReplyParser:
    """One reply, fed as it arrives.

    `status` is 0 until the final head is complete. `keep_alive` says that the connection may be
    used again once `complete`; bytes beyond the reply take that back. `started` says that any
    byte of a reply has come. `known` is what the `head` has in common with earlier ones, if
    anything.
    """

    __slots__ = (
        "_chunks",
        "_decoder",
        "_end",
        "_head",
        "_interim",
        "_left",
        "_replies",
        "_to_head",
        "buffered",
        "complete",
        "head",
        "headers",
        "keep_alive",
        "known",
        "started",
        "status",
    )

    def __init__(self, *, to_head: bool, replies: KnownReplies | None = None) -> None:
        self.status = 0
        self.headers: Headers = []
        self.complete = False
        self.keep_alive = True
        self.started = False
        self.buffered = 0
        self.head = b""
        self.known: KnownReply | None = None
        self._replies = replies
        self._to_head = to_head  # the reply to a HEAD request never has a body
        self._chunks: list[bytes] = []
        self._head: bytearray | None = None
        self._interim = 0
        self._end = _LENGTH
        self._left = 0
        self._decoder: ChunkedDecoder | None = None

    def feed(self, data: bytes) -> None:
        """Takes the next bytes. Raises UpstreamError `protocol` or `invalid_status`."""
        self.started = True
        if not self.status:
            data = self._feed_head(data)
        if not data:
            return
        if self.complete:
            self.keep_alive = False  # RFC 9112 6.3: never the start of the next reply
        elif self._end == _LENGTH:
            self._feed_sized(data)
        elif self._decoder is not None:
            self._feed_chunked(self._decoder, data)
        else:
            self._keep(data)

    def end(self, *, clean: bool) -> None:
        """The connection has ended; `clean` if TLS announced it (close_notify).

        Raises UpstreamError `closed` (no reply yet) or `truncated` (RFC 9112 8, 9.8).
        """
        self.keep_alive = False
        if self.complete:
            return
        if not self.status:
            raise failure("closed", sent=True)
        if self._end != _UNTIL_CLOSE or not clean:
            raise failure("truncated", sent=True)
        self.complete = True

    def take(self) -> bytes:
        """The body bytes that have come since the last call, in one piece."""
        data = self.peek()
        self._chunks.clear()
        self.buffered = 0
        return data

    def peek(self) -> bytes:
        """The same, without taking them."""
        chunks = self._chunks
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by llhttp, once for each field."""
        self.headers.append((name.lower(), value.rstrip()))

    def _keep(self, data: bytes) -> None:
        self._chunks.append(data)
        if len(self._chunks) >= MOST_PIECES:
            compact(self._chunks)
        self.buffered += len(data)

    def _feed_head(self, data: bytes) -> bytes:
        """Reads heads up to the final one; what follows that is the return value."""
        while True:
            if self._head is not None:
                data = self._whole_head(data)
            end = data.find(b"\r\n\r\n") + 4
            if end > MAX_HEAD or (end < 4 and len(data) > MAX_HEAD):
                raise failure(
                    "protocol", sent=True, detail="The head of Invopop's reply is too large."
                )
            if end < 4:
                self._head = bytearray(data) if data else self._head
                return b""
            self._read_head(data[:end])
            data = data[end:]
            if self.status or not data:
                return data

    def _whole_head(self, data: bytes) -> bytes:
        """All of a head that came in pieces, or nothing while its end is still to come."""
        head = self._head
        assert head is not None  # noqa: S101 - the caller looked
        seen = max(0, len(head) - 3)
        head += data
        if head.find(b"\r\n\r\n", seen) < 0 and len(head) <= MAX_HEAD:
            return b""
        self._head = None
        return bytes(head)

    def _read_head(self, head: bytes) -> None:
        if self._replies is not None and self._read_known(self._replies, head):
            return
        self.headers = []
        parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserInvalidStatusError:
            raise failure("invalid_status", sent=True) from None
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise failure("protocol", sent=True) from None
        status = parser.get_status_code()
        if not _STATUS_LINE.match(head) or len(self.headers) > MAX_HEADERS:
            raise failure("protocol", sent=True)
        if 200 <= status <= 599:
            self._frame(status, head[7:8] == b"1")
            if self._replies is not None:
                self._remember(self._replies, head, status)
        elif not 100 <= status <= 199:
            raise failure("invalid_status", sent=True)
        else:
            self._skip_interim(status)

    def _remember(self, replies: KnownReplies, head: bytes, status: int) -> None:
        """Keeps a head whose framing was looked at (not that of a HEAD) and ends within itself."""
        if self.keep_alive and self._end != _UNTIL_CLOSE and not self._to_head:
            length = None if self._end == _CHUNKED else self._left
            replies.add(head, status, self.headers, length)

    def _read_known(self, replies: KnownReplies, head: bytes) -> bool:
        """Reads a head as one that came before; false if it is another one."""
        found = replies.find(head)
        if found is None:
            return False
        known, headers = found
        length = known.length
        if known.length_at >= 0:
            digits = headers[known.length_at][1]
            if _DIGITS.fullmatch(digits) is None:
                return False
            length = int(digits)
        self.status, self.headers, self.head, self.known = known.status, headers, head, known
        if self._to_head:
            self.complete = True
        elif length is None:
            self._end, self._decoder = _CHUNKED, ChunkedDecoder(CHUNK_RULES)
        else:
            self._left = length
            self.complete = not length
        return True

    def _skip_interim(self, status: int) -> None:
        self._interim += 1
        if status == 101 or self._interim > MAX_INTERIM:
            raise failure("protocol", sent=True)

    def _frame(self, status: int, http11: bool) -> None:
        """How long the body is: RFC 9112 6.3. Raises UpstreamError where it could be misread."""
        lengths, codings, close = [], [], False
        for name, value in self.headers:
            if name in _FRAMING:
                if name == b"content-length":
                    lengths.append(value)
                elif name == b"transfer-encoding":
                    codings.append(value)
                else:
                    close = close or value.lower().find(b"close") >= 0
        _check_framing(lengths, codings, http11)
        self.keep_alive = http11 and not close
        self.status = status
        if self._to_head or status in BODILESS:
            self.complete = True
            if status == 204 and (codings or lengths not in ([], [b"0"])):
                self.keep_alive = False  # it may send that body later
        elif codings:
            self._end, self._decoder = _CHUNKED, ChunkedDecoder(CHUNK_RULES)
        elif lengths:
            self._left = int(lengths[0])
            self.complete = not self._left
        else:
            self._end = _UNTIL_CLOSE

    def _feed_sized(self, data: bytes) -> None:
        left = self._left - len(data)
        if left < 0:
            data = data[: self._left]
            self.keep_alive = False
        self._keep(data)
        self._left = left
        self.complete = left <= 0

    def _feed_chunked(self, decoder: ChunkedDecoder, data: bytes) -> None:
        before = decoder.decoded
        try:
            rest = decoder.decode(data, self._chunks)
        except FramingError:
            raise failure("protocol", sent=True) from None
        finally:
            self.buffered += decoder.decoded - before
            compact(self._chunks)
        if rest is not None:
            self.complete = True
            self.keep_alive = self.keep_alive and not rest


def _check_framing(lengths: list[bytes], codings: list[bytes], http11: bool) -> None:
    if codings and (lengths or not http11 or [c.lower() for c in codings] != [b"chunked"]):
        raise failure(
            "protocol", sent=True, detail="Invopop's reply has an invalid Transfer-Encoding."
        )
    if lengths and (len(lengths) > 1 or not _DIGITS.fullmatch(lengths[0])):
        raise failure(
            "protocol", sent=True, detail="Invopop's reply has an invalid Content-Length."
        )
