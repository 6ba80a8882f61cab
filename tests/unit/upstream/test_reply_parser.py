"""The reply parser, pure: framing to the byte, however the bytes arrive."""

import pytest

from gateway.errors import UpstreamError
from gateway.upstream.reply_parser import CHUNK_RULES, MAX_HEAD, ReplyParser

OK = b"HTTP/1.1 200 OK\r\n"


def parse(*pieces: bytes, to_head: bool = False) -> ReplyParser:
    parser = ReplyParser(to_head=to_head)
    for piece in pieces:
        parser.feed(piece)
    return parser


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (OK + b"Content-Length: 2\r\n\r\nok", 200, b"ok"),
        (OK + b"Content-Length: 0\r\n\r\n", 200, b""),
        (OK + b"Content-Length:   2  \r\n\r\nok", 200, b"ok"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, b"ok"),
        (
            OK + b"Transfer-Encoding: Chunked\r\n\r\n1;a=b\r\no\r\n01\r\nk\r\n0;x\r\n\r\n",
            200,
            b"ok",
        ),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\nY:\xff\r\n\r\n", 200, b""),
        (b"HTTP/1.1 204 \r\n\r\n", 204, b""),
        (b"HTTP/1.1 204 X\r\nContent-Length: 0\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 X\r\nContent-Length: 500\r\n\r\n", 304, b""),
        (b"HTTP/1.1 599\r\nContent-Length: 1\r\n\r\nx", 599, b"x"),
        (
            b"HTTP/1.1 100 X\r\n\r\nHTTP/1.1 103 X\r\nLink: a\r\n\r\n"
            b"HTTP/1.1 102 X\r\n\r\nHTTP/1.1 199 X\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx",
            200,
            b"x",
        ),
    ],
)
def test_whole_replies_in_any_pieces(reply: bytes, status: int, body: bytes) -> None:
    """Cases 81, 88, 89, 95: the same result at every split point and byte by byte."""
    splits = [(reply[:at], reply[at:]) for at in range(len(reply))]
    for pieces in [*splits, tuple(bytes([byte]) for byte in reply)]:
        parser = parse(*(piece for piece in pieces if piece))
        assert (parser.status, parser.take()) == (status, body)
        assert parser.complete
        assert parser.keep_alive
        assert not any(name in {b"x-t", b"link"} for name, _ in parser.headers)


@pytest.mark.parametrize(
    "reply",
    [
        OK + b"Content-Length: 2\r\n\r\nok",
        OK + b"Content-Length: 0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 X\r\n\r\n",
        b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n",
    ],
)
@pytest.mark.parametrize("extra", [b"x", b"\r\n", b"0\r\n\r\n", OK + b"\r\n"])
@pytest.mark.parametrize("together", [True, False])
def test_leftover_bytes_forbid_reuse(reply: bytes, extra: bytes, together: bool) -> None:
    """Case 101: whatever follows a reply, in the same read or the next, ends the connection."""
    parser = parse(reply + extra) if together else parse(reply, extra)
    assert parser.complete
    assert not parser.keep_alive
    assert extra not in (parser.take() or b"-")


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"Content-Length: 1234\r\n", True),
        (b"Transfer-Encoding: chunked\r\n", True),
        (b"", True),
    ],
)
def test_a_reply_to_head_ends_with_its_head(head: bytes, reusable: bool) -> None:
    """Case 87: no body follows; one that follows all the same forbids reuse."""
    parser = parse(OK + head + b"\r\n", to_head=True)
    assert (parser.complete, parser.keep_alive) == (True, reusable)
    parser.feed(b"x")
    assert not parser.keep_alive
    assert parser.take() == b""


@pytest.mark.parametrize("clean", [True, False])
def test_the_end_after_a_whole_reply_is_no_failure(clean: bool) -> None:
    """What came whole stays whole; only the connection is of no more use."""
    parser = parse(OK + b"Content-Length: 2\r\n\r\nok")
    parser.end(clean=clean)
    assert (parser.complete, parser.keep_alive, parser.take()) == (True, False, b"ok")


@pytest.mark.parametrize("fields", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_204_that_announces_a_body_is_not_reused(fields: bytes) -> None:
    """Case 88: that body may still come."""
    parser = parse(b"HTTP/1.1 204 X\r\n" + fields + b"\r\n")
    assert parser.complete
    assert not parser.keep_alive


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        # case 96
        *[
            (b"HTTP/1.1 %b X\r\nContent-Length: 0\r\n\r\n" % status, "invalid_status")
            for status in (b"600", b"999", b"099", b"000", b"20", b"2000", b"abc", b"-20", b"2 0")
        ],
        (b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", "protocol"),
        (b"HTTP/1.1 101 X\r\n\r\n", "protocol"),
        # case 92
        (b"HTTP/1.1 103 X\r\n\r\n" * 6, "protocol"),
        # cases 98, 99
        *[
            (OK + fields + b"\r\n\r\n", "protocol")
            for fields in (
                b"Content-Length: 3\r\nTransfer-Encoding: chunked",
                b"Transfer-Encoding: chunked\r\nContent-Length: 3",
                b"Content-Length: 1\r\nContent-Length: 2",
                b"Content-Length: 1\r\ncontent-length: 1",
                b"Content-Length: +3",
                b"Content-Length: -3",
                b"Content-Length: 1, 2",
                b"Content-Length: 0x1",
                b"Content-Length: ",
                b"Content-Length: 3 3",
                b"Content-Length: " + b"9" * 19,
                b"Transfer-Encoding: gzip, chunked",
                b"Transfer-Encoding: chunked, chunked",
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                b"Transfer-Encoding: identity",
                b"Transfer-Encoding: ,chunked",
                b"Transfer-Encoding: xchunked",
                # case 51 and RFC 9112 5
                b"X[1]: v",
                b"X: a\x01",
                b"X: a\x00",
                b"X: a\rb",
                b"X: a\nY: b",
                b"X: a\r\n b",
                b"X : a",
                b": a",
                b"X",
            )
        ],
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "protocol"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "protocol"),
        (b"HTTP/0.9 200 OK\r\n\r\n", "protocol"),
        (b"HTTP/1.2 200 OK\r\n\r\n", "protocol"),
        (b"RTSP/1.0 200 OK\r\n\r\n", "protocol"),
        (b"ICY 200 OK\r\n\r\n", "protocol"),
        (b"\r\n\r\n" + OK, "protocol"),
        (b"\r\n" + OK + b"\r\n", "protocol"),
        (b"hello\r\n\r\n", "protocol"),
        (OK + b"X: 1\r\n" * 513 + b"\r\n", "protocol"),
        (OK + b"X: " + b"a" * MAX_HEAD, "protocol"),
        # chunks, case 11
        *[
            (OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, "protocol")
            for chunks in (
                b"0x1\r\n",
                b"+1\r\n",
                b"-1\r\n",
                b"1_0\r\n",
                b" 1\r\n",
                b"\r\n",
                b"ZZ\r\n",
                b"1" * 17 + b"\r\n",
                b"1\nZ\n0\n\n\r\n",
                b"1\r\nZXX\r\n",
                b"1\r\nZ\n0\r\n\r\n",
                b"1;a\nb\r\n",
                b"1;a\rb\r\n",
                b"1;" + b"a" * (CHUNK_RULES.max_line + 1),
                b"1;" + b"a" * CHUNK_RULES.max_line + b"\r\n",
                b"0\r\nbad trailer\r\n\r\n",
                b"0\r\nX: a\x00\r\n\r\n",
                b"0\r\n" + b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n" * 1000,
            )
        ],
    ],
)
def test_unlawful_replies_are_refused(reply: bytes, kind: str) -> None:
    """Cases 11, 51, 92, 96, 98, 99: nothing that two readers could read differently."""
    with pytest.raises(UpstreamError) as caught:
        parse(reply)
    assert (caught.value.kind, caught.value.sent) == (kind, True)


TOLD = [
    (OK + b"X: " + b"a" * MAX_HEAD, "The head of Invopop's reply is too large."),
    (OK + b"Transfer-Encoding: gzip\r\n\r\n", "Invopop's reply has an invalid Transfer-Encoding."),
    (
        OK + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n",
        "Invopop's reply has an invalid Content-Length.",
    ),
]


@pytest.mark.parametrize(("reply", "detail"), TOLD)
def test_what_was_unlawful_is_said(reply: bytes, detail: str) -> None:
    """In words that hold nothing of what Invopop sent."""
    with pytest.raises(UpstreamError) as caught:
        parse(reply)
    assert caught.value.detail == detail


def test_big_heads_pass() -> None:
    """Case 50: one header of 120 KB, or 300 of them, and obs-text."""
    assert parse(OK + b"X: " + b"a" * 120_000 + b"\r\nContent-Length: 0\r\n\r\n").complete
    assert len(parse(OK + b"X: \xff\r\n" * 300 + b"\r\n").headers) == 300


@pytest.mark.parametrize("line", [OK, b"HTTP/1.0 200 OK\r\n"])
def test_a_close_delimited_body_ends_well_only_cleanly(line: bytes) -> None:
    """Case 86: with a close_notify it is whole, without it is truncated (RFC 9112 9.8)."""
    parser = parse(line + b"\r\npart", b"ial")
    assert not parser.complete
    parser.end(clean=True)
    assert (parser.complete, parser.keep_alive, parser.take()) == (True, False, b"partial")
    with pytest.raises(UpstreamError, match="upstream_protocol_error") as caught:
        parse(line + b"\r\npartial").end(clean=False)
    assert caught.value.kind == "truncated"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"", "closed"),
        (OK, "closed"),
        (b"HTTP/1.1 103 X\r\n\r\n", "closed"),
        (OK + b"Content-Length: 10\r\n\r\nabc", "truncated"),
        (OK + b"Content-Length: 10\r\n\r\n", "truncated"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "truncated"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "truncated"),
    ],
)
@pytest.mark.parametrize("clean", [True, False])
def test_an_early_end_is_an_error(reply: bytes, kind: str, clean: bool) -> None:
    """Cases 84, 85, 93: even a clean close does not complete a framed reply."""
    parser = parse(*([reply] if reply else []))
    with pytest.raises(UpstreamError) as caught:
        parser.end(clean=clean)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "fields",
    [
        b"Connection: close\r\n",
        b"Connection: x, Close\r\n",
        b"Connection: X-A\r\nConnection: close\r\n",
    ],
)
def test_connection_close_forbids_reuse(fields: bytes) -> None:
    """RFC 9112 9.6."""
    parser = parse(OK + fields + b"Content-Length: 0\r\n\r\n")
    assert parser.complete
    assert not parser.keep_alive


def test_http_10_is_not_reused() -> None:
    """An old server's idea of keep-alive is not worth trusting."""
    assert not parse(
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
    ).keep_alive
