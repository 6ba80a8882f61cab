"""The reply parser's bounds, to the byte, and where it stands before the first one."""

import pytest

from gateway.errors import UpstreamError
from gateway.framing import MOST_PIECES
from gateway.upstream.reply_parser import (
    CHUNK_RULES,
    MAX_HEAD,
    MAX_HEADERS,
    ReplyParser,
)

MAX_LINE, MAX_TRAILERS = CHUNK_RULES.max_line - 2, CHUNK_RULES.max_trailers
OK = b"HTTP/1.1 200 OK\r\n"


def parse(*pieces: bytes) -> ReplyParser:
    parser = ReplyParser(to_head=False)
    for piece in pieces:
        parser.feed(piece)
    return parser


def test_before_the_first_byte() -> None:
    """Nothing has come, and nothing speaks against the connection yet."""
    parser = ReplyParser(to_head=False)
    assert (parser.status, parser.headers, parser.peek()) == (0, [], b"")
    assert (parser.complete, parser.started, parser.keep_alive) == (False, False, True)


def test_a_head_may_have_128_kib() -> None:
    """Its blank line included; one byte more is refused, also before the end has come."""
    most = OK + b"Content-Length: 0\r\nX: "
    most += b"a" * (MAX_HEAD - len(most) - 4) + b"\r\n\r\n"
    for pieces in ((most,), (most[:9], most[9:]), (most[:-4], most[-4:])):
        assert parse(*pieces).complete
    assert not parse(OK + b"X: " + b"a" * (MAX_HEAD - len(OK) - 3)).complete
    for pieces in ((most[:-4] + b"a\r\n\r\n",), (most[:9], most[9:-4] + b"aaaaa")):
        with pytest.raises(UpstreamError):
            parse(*pieces)


BOUNDS = [
    (OK, b"X: 1\r\n" * (MAX_HEADERS - 1) + b"Content-Length: 0\r\n", b"X: 1\r\n", b"\r\n"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"a" * (MAX_LINE - 2), b"a",
     b"\r\nZ\r\n0\r\n\r\n"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
     (b"X: " + b"a" * (MAX_TRAILERS // 8 - 5) + b"\r\n") * 8, b"X:\r\n", b"\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(("begun", "most", "more", "rest"), BOUNDS)
def test_bounds_hold_to_the_byte(begun: bytes, most: bytes, more: bytes, rest: bytes) -> None:
    """Fields, chunk lines and trailers may be as many and long as that; no more, and unfinished."""
    assert parse(begun + most + rest).complete
    assert parse(begun + most, rest).complete
    for pieces in ((begun + most + more + rest,), (begun, most + more, rest)):
        with pytest.raises(UpstreamError):
            parse(*pieces)


@pytest.mark.parametrize(
    ("framing", "piece"),
    [(b"Content-Length: 100000", b"xy"), (b"Transfer-Encoding: chunked", b"xy")],
)
def test_a_body_in_crumbs_takes_no_more_than_its_bytes(framing: bytes, piece: bytes) -> None:
    """However small the records that bring it: they are not kept as so many objects."""
    parser = parse(OK + framing + b"\r\n\r\n")
    if b"chunked" in framing:
        parser.feed(b"186a0\r\n")
    for _ in range(20_000):
        parser.feed(piece)
    assert len(parser._chunks) <= MOST_PIECES
    assert parser.take() == piece * 20_000
