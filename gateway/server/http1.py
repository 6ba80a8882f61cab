"""Reads one request head (RFC 9112): one regex for its first line, one for all of its fields.

Rule: pure; what does not match the grammar exactly is refused, never repaired. What is accepted
here has one reading only, whatever parses it next.
"""

import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import CallerError
from gateway.framing import CONTROLS, FIELD, TOKEN
from gateway.known_head import KnownRequest
from gateway.model import CREDENTIAL_FIELDS, Headers

# What may repeat cannot match what follows it, so a hostile line costs what its length costs.
REQUEST_LINE: Final = re.compile(
    rb"(" + TOKEN + rb"+) ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])(?=\r\n)"
)
_OTHER_VERSION: Final = re.compile(
    TOKEN + rb"++ [^\x00-\x20\x7f]++ HTTP/(?!1\.[01])[0-9]\.[0-9]\r\n"
)
# What no head, finished or not, can hold: a bare CR or LF, or a control character.
NEVER_IN_HEAD: Final = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HTTP2: Final = b"PRI * HTTP/2.0\r\n"  # the client's preface: RFC 9113 3.4
_USE_HTTP1: Final = "Only HTTP/1.1 and HTTP/1.0 are supported: switch the client's HTTP/2 off."
_HOST: Final = re.compile(
    rb"(?:(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?"
)
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+://[^/?]*+")
_CODINGS: Final = re.compile(TOKEN + rb"++(?:[ \t]*+,[ \t]*+" + TOKEN + rb"++)*")
_ONCE: Final = (*CREDENTIAL_FIELDS, b"host", b"content-length", b"transfer-encoding")
# 18 digits are below 2^63 and above any body: longer ones are an attempt at an overflow.
LENGTH_DIGITS: Final = 18


@dataclass(init=False, slots=True)
class RequestHead:
    """A valid request head. Field names are lower-case; order, repeats and values are as sent.

    `raw_path` and `query` are the target's parts around its first `?`, without the authority of an
    absolute-form target. `content_length` is 0 without a body and None for a chunked one. `known`
    is what it has in common with other heads of its connection, if anything.
    """

    method: str
    target: bytes
    raw_path: bytes
    query: bytes
    version: str
    headers: Headers
    content_length: int | None
    keep_alive: bool
    expect_continue: bool
    known: KnownRequest | None

    def __init__(  # noqa: PLR0913, PLR0917 - a generated one stays interpreted
        self, method: str, target: bytes, raw_path: bytes, query: bytes, version: str,
        headers: Headers, content_length: int | None, keep_alive: bool, expect_continue: bool,
        known: KnownRequest | None = None,
    ) -> None:  # fmt: skip
        self.method, self.target, self.raw_path = method, target, raw_path
        self.query, self.version, self.headers = query, version, headers
        self.content_length, self.keep_alive = content_length, keep_alive
        self.expect_continue, self.known = expect_continue, known


def parse_request_head(head: bytes, max_headers: int) -> RequestHead:
    """Reads a head, from its first byte to its blank line, both included.

    Raises `CallerError`: bad_request (400; 417 for an expectation, 501 for a transfer coding, 505
    for a version) or headers_too_large (431) for more than `max_headers` fields.
    """
    line = REQUEST_LINE.match(head)
    if line is None:
        raise _first_line_refused(head)
    line_ends = head.count(b"\r\n")
    lines = line_ends - 2  # without the first and the blank one
    if lines > max_headers:
        raise CallerError(
            "headers_too_large", f"A request may have at most {max_headers} header fields."
        )
    fields = FIELD.findall(head, line.end())
    controls = len(head) - len(head.translate(None, CONTROLS))
    if len(fields) != lines or controls != 2 * line_ends:
        raise _bad("A header line is malformed.")
    headers = [(name.lower(), value.strip()) for name, value in fields]
    one = dict(headers)
    if len(one) != lines:
        _refuse_repeats(headers)
    verb, target, minor = line.groups()
    method, modern = verb.decode(), minor == b"1"
    host = one.get(b"host")
    if (host is not None or modern) and not (host and _HOST.fullmatch(host)):
        raise _bad("Exactly one valid Host is required.")  # RFC 9112 3.2
    length: int | None = 0
    if b"transfer-encoding" in one or b"content-length" in one:
        length = _body_length(one, fields, modern)
    origin_part = target if target[0] == 0x2F else origin_part_of(method, target)
    path, _, query = origin_part.partition(b"?")
    return RequestHead(  # by position: keywords would cost half a percent of a request
        method,
        target,
        path,
        query,
        "1.1" if modern else "1.0",
        headers,
        length,
        modern and method != "CONNECT" and (b"connection" not in one or _persists(headers)),
        b"expect" in one and _expects_continue(headers) and modern and length != 0,
    )


def _bad(detail: str, status: int = 400) -> CallerError:
    return CallerError("bad_request", detail, status=status)


def _first_line_refused(head: bytes) -> CallerError:
    """505 if all but the version is well-formed (RFC 9110 15.6.6), else 400."""
    if head.startswith(_HTTP2):
        return CallerError("bad_request", _USE_HTTP1, status=505, cause="http2_preface")
    if not head.partition(b"\r\n")[0].isascii():
        return _bad("The request target has bytes outside ASCII: percent-encode it.")
    if _OTHER_VERSION.match(head):
        return _bad("Only HTTP/1.1 and HTTP/1.0 are supported.", 505)
    return _bad("The request line is malformed.")


def _refuse_repeats(headers: Headers) -> None:
    names = [name for name, _ in headers]
    for name in _ONCE:
        if names.count(name) > 1:
            raise _bad(f"Send {name.decode().title()} at most once.")


def _body_length(one: dict[bytes, bytes], fields: Headers, modern: bool) -> int | None:
    """RFC 9112 6.1 to 6.3, without what it tolerates. None means a chunked body."""
    coding, length = one.get(b"transfer-encoding"), one.get(b"content-length")
    if coding is None:
        if length is None or not length.isdigit() or len(length) > LENGTH_DIGITS:
            raise _bad("Content-Length must be one decimal number.")
        return int(length)
    if length is not None or not modern:
        raise _bad("Send no Transfer-Encoding with a Content-Length, or on HTTP/1.0.")
    as_sent = next(value for name, value in fields if name.lower() == b"transfer-encoding")
    # White space after a coding is allowed, but has been used to hide it from other parsers.
    if not as_sent.endswith(coding + b"\r") or not _CODINGS.fullmatch(coding):
        raise _bad("Transfer-Encoding must be exactly chunked.")
    if coding.lower() != b"chunked":
        raise _bad("The only supported transfer coding is chunked.", 501)
    return None


def origin_part_of(method: str, target: bytes) -> bytes:
    """Path and query, as sent, of a target in any form of RFC 9112 3.2 except origin-form."""
    if method == "CONNECT" or (target == b"*" and method == "OPTIONS"):
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        raise _bad("The request target must be a path, or a whole http:// or https:// URL.")
    return target[absolute.end() :]


def _persists(headers: Headers) -> bool:
    """RFC 9112 9.3, over all Connection fields."""
    value = b",".join([value for name, value in headers if name == b"connection"])
    return b"close" not in [option.strip(b" \t") for option in value.lower().split(b",")]


def _expects_continue(headers: Headers) -> bool:
    """RFC 9110 10.1.1: 100-continue is the only expectation that exists."""
    if [value.lower() for name, value in headers if name == b"expect"] != [b"100-continue"]:
        raise _bad("The only supported expectation is one 100-continue.", 417)
    return True
