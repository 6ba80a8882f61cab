"""Replies as bytes: the head of an app's reply and its framing (RFC 9112 6), and the server's own.

Rule: pure; hop-by-hop fields and framing are the server's own: the app's are dropped.
"""

from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Literal

from gateway.asgi import Message
from gateway.errors import ALLOW, CallerError, GatewayError, error_response
from gateway.framing import BODILESS, NO_CONTENT, joined_lines
from gateway.known_head import ReplyLines
from gateway.model import Exchange, Headers, Peer
from gateway.server.http1 import RequestHead

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
# Clients show no more than the reason phrase of a tunnel that was refused.
_NO_TUNNELS: Final = b"HTTP/1.1 405 No tunnels: use http:// URLs\r\n"
_OURS: Final = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
_LENGTH: Final = b"content-length"
_METHODS: Final = frozenset(ALLOW.decode().split(", "))

HELD: Final = 1024 * 1024  # bytes of a body that must be whole before its head is sent
# How the end of a reply's body is marked. With "none" there is no body, whatever the app sends.
# Words and not an Enum, whose members cost a Python call each in 3.11, several times a request.
Mode = Literal["none", "sized", "chunked", "until close"]


class ReplyHead:
    """A head without `Date`, `Connection` and its blank line; `length` is that of a sized body.

    `dated` means that the app has set a `Date`.
    """

    __slots__ = ("block", "dated", "length", "mode")

    def __init__(self, block: bytes, mode: Mode, length: int, dated: bool) -> None:
        self.block = block
        self.mode: Mode = mode
        self.length = length
        self.dated = dated


def status_line(status: int) -> bytes:
    """RFC 9112 4; the reason phrase may be empty."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def frame_reply(
    status: int,
    headers: Headers,
    request: RequestHead,
    whole: int | None,
    lines: ReplyLines | None = None,
) -> ReplyHead:
    """The head of a final reply. `whole` is the body's length if all of it is already at hand.

    Header names are lower-case. `lines` are the same headers, if somebody has encoded them; they
    are used up. Raises `ValueError` if the app's reply cannot be put on the wire: a status outside
    200 to 599, a CR, LF or NUL in a field, or an invalid length.
    """
    if not 200 <= status <= 599:
        raise ValueError("not a final status")
    if lines is not None and status not in NO_CONTENT:
        return _frame_lines(status, lines, request, whole)
    known = dict(headers)
    if not _OURS.isdisjoint(known):
        headers = [field for field in headers if field[0] not in _OURS]
    if status in NO_CONTENT:  # RFC 9110 8.6, 15.3.6
        headers = [field for field in headers if field[0] != _LENGTH]
        known.pop(_LENGTH, None)
    mode, length = _mode(status, known.get(_LENGTH), request, whole)
    if status == 205 or (mode == "sized" and _LENGTH not in known):
        headers = [*headers, (_LENGTH, b"%d" % length)]
    elif mode == "chunked":
        headers = [*headers, (b"transfer-encoding", b"chunked")]
    block = joined_lines([*map(b": ".join, headers), b""])
    line = status_line(status)
    if status == 405 and request.method == "CONNECT":
        line = _NO_TUNNELS
    return ReplyHead(line + block, mode, length, b"date" in known)


def _frame_lines(
    status: int, encoded: ReplyLines, request: RequestHead, whole: int | None
) -> ReplyHead:
    """The same for a reply whose lines are at hand."""
    lines = encoded.lines
    mode, length = _mode(status, encoded.length, request, whole)
    if mode == "chunked":
        lines.append(b"transfer-encoding: chunked")
    elif mode == "sized" and encoded.length is None:
        lines.append(b"content-length: %d" % length)
    lines.append(b"")
    return ReplyHead(status_line(status) + joined_lines(lines), mode, length, encoded.dated)


def needs_whole(start: Message, request: RequestHead, peer: Peer) -> bool:
    """Whether a reply's length must be known before its head is sent.

    For HTTP/1.0 without a length the end of the connection is the end of the body (RFC 9112 6.3).
    A body that was cut off is marked by a reset, which a Unix socket cannot send.
    """
    if request.version != "1.0" or peer.address or request.method == "HEAD":
        return False
    return all(name != _LENGTH for name, _ in start.get("headers", ()))


def hold(held: bytearray, body: bytes) -> None:
    """Adds a piece of a body to what is held. Raises `CallerError` for more than `HELD` bytes."""
    held += body
    if len(held) > HELD:
        raise CallerError(
            "bad_request",
            "Use HTTP/1.1: over a Unix socket this reply is too long for HTTP/1.0.",
            status=505,
        )


def refusal(error: GatewayError, request_id: str, *, bodiless: bool) -> bytes:
    """The reply that ends a connection; `bodiless` after a HEAD (RFC 9110 9.3.2)."""
    headers, body = error_response(error, request_id)
    line = status_line(error.status)
    headers = [*headers, (b"date", formatdate(usegmt=True).encode()), (b"connection", b"close")]
    fields = b"".join([b"%b: %b\r\n" % field for field in headers])
    return line + fields + b"\r\n" + (b"" if bodiless else body)


def record(error: GatewayError, request_id: str, method: str, peer: Peer) -> Exchange:
    """The exchange that the refusal ends; the connection sets `started` and `seconds`."""
    x = Exchange(0.0, request_id)
    x.method = method if method in _METHODS else "OTHER"
    x.peer = peer.address
    x.status, x.error, x.cause = error.status, error.key, error.recorded_cause
    return x


def _mode(
    status: int, declared: bytes | None, request: RequestHead, whole: int | None
) -> tuple[Mode, int]:
    if request.method == "HEAD" or status in BODILESS or status in NO_CONTENT:
        return "none", 0
    if declared is not None:
        if not declared.isdigit():
            raise ValueError("not a length")
        return "sized", int(declared)
    if whole is not None:
        return "sized", whole
    return ("chunked" if request.version == "1.1" else "until close"), 0
