"""`known_replies`: a reply that resembles an earlier one is read as if it were new."""

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.known_head import MOST_FIELDS, ReplyLines
from gateway.model import Key, Reply
from gateway.secret import Secret
from gateway.server.http1 import parse_request_head
from gateway.server.reply import frame_reply
from gateway.upstream.forwarder import NoBody
from gateway.upstream.known_headers import echoes, pass_on
from gateway.upstream.known_replies import KnownReplies
from gateway.upstream.reply_headers import reply_headers
from gateway.upstream.reply_parser import ReplyParser

KEY = Key("acme", "key", Secret("sk_0123456789ABCDEF"))
STATUSES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 201 Created",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 205 Reset Content",
    b"HTTP/1.1 405 Method Not Allowed",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 200 O\x01K",
]
LINES = [
    b"Content-Length: 0",
    b"Content-Length: 1",
    b"Content-Length: 2",
    b"Content-Length: +1",
    b"Content-Length: 1, 1",
    b"content-length:1",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: x-a",
    b"Connection: content-length",
    b"Keep-Alive: 5",
    b"Upgrade: a",
    b"Date: today",
    b"Date: tomorrow",
    b"X-Request-Id: 1",
    b"X-Request-Id: 2",
    b"X-A: 1",
    b"X-A: 2 ",
    b"X-A: 3\t4",
    b"X-A: 5\x006",
    b"X-A: \xff",
    b"X_A: 7",
    b"X-A: sk_0123456789ABCDEF",
    b"X-A: t=sk%5F0123456789ABCDEF",
    b"X-A: " + b64encode(b"u:sk_0123456789ABCDEF"),
    b"X-sk_0123456789abcdef: 8",
    b"Location: https://api.test/a",
    b"Location: https://api.test/b",
    b"Proxy-Status: invopop-gateway, other",
    b"Alt-Svc: a",
    b"Alt-Svc: b",
    b"Set-Cookie: a",
    b"Set-Cookie: b",
    b"No field",
    b" Folded: 1",
]


def framed(reply: Reply, *, to_head: bool, by_lines: bool = True) -> list[tuple[Any, ...]]:
    """How the server puts it on the wire: with and without its body at hand, for both versions."""
    found = []
    for version in (b"1.0", b"1.1"):
        line = (b"HEAD" if to_head else b"GET") + b" / HTTP/" + version
        request = parse_request_head(line + b"\r\nHost: gw\r\n\r\n", 10)
        for whole in (None, 1):
            assert reply.lines is not None
            lines = reply.lines
            copy = ReplyLines(lines.lines.copy(), lines.length, lines.dated) if by_lines else None
            head = frame_reply(reply.status, reply.headers, request, whole, copy)
            found.append((head.block, head.mode, head.length, head.dated))
    return found


def outcome(data: bytes, replies: KnownReplies | None, *, to_head: bool) -> object:
    """All that a reply comes to: its parts, and what is passed on."""
    parser = ReplyParser(to_head=to_head, replies=replies)
    try:
        parser.feed(data)
    except UpstreamError as error:
        return error.kind
    headers, echoed = reply_headers(parser.headers, KEY, b"api.test", "an-id")
    if parser.known is not None and not echoes(parser.head, parser.headers, KEY):
        reply = Reply(parser.status, parser.headers, NoBody())
        assert not echoed
        pass_on(reply, parser.known, b"api.test", "an-id")
        assert reply.headers == headers
        assert framed(reply, to_head=to_head) == framed(reply, to_head=to_head, by_lines=False)
    parts = (parser.status, parser.headers, parser.complete, parser.keep_alive, headers, echoed)
    return (*parts, parser.take())


# The same fields in each reply, of which each has one of a few values; sometimes other fields.
SHAPE = st.lists(st.sampled_from(sorted({line.partition(b":")[0] for line in LINES})), max_size=4)
HEAD = st.tuples(
    st.sampled_from(STATUSES),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.lists(st.sampled_from(LINES), max_size=1),
    st.sampled_from([b"", b"a", b"1\r\na\r\n0\r\n\r\n"]),
    st.booleans(),
)


@given(SHAPE, st.lists(HEAD, min_size=3, max_size=8))
def test_each_reply_is_read_as_if_it_were_the_first(
    names: list[bytes], heads: list[tuple[bytes, list[int], list[bytes], bytes, bool]]
) -> None:
    """Whatever came before it: status, fields, framing, what is passed on, or the same refusal."""
    replies = KnownReplies()
    for status, picks, more, body, to_head in heads:
        lines = [*more]
        for name, pick in zip(names, picks, strict=False):
            values = [line for line in LINES if line.partition(b":")[0] == name]
            lines.append(values[pick % len(values)])
        data = b"\r\n".join((status, *lines, b"", body))
        once = outcome(data, None, to_head=to_head)
        assert outcome(data, replies, to_head=to_head) == once


@pytest.mark.parametrize("to_head", [False, True])
@pytest.mark.parametrize(
    "head",
    [
        b"200 OK\r\nTransfer-Encoding: chunked\r\nX-A: ",
        b"200 OK\r\nContent-Length: 1\r\nDate: ",
        b"200 OK\r\nContent-Length: ",
        b"200 OK\r\nConnection: content-length\r\nKeep-Alive: a\r\nContent-Length: ",
        b"205 Reset Content\r\nContent-Length: 1\r\nX-A: ",
        b"405 Method Not Allowed\r\nTransfer-Encoding: chunked\r\nX-A: ",
    ],
)
def test_a_known_reply_is_framed_as_if_it_were_the_first(head: bytes, to_head: bool) -> None:
    """With a length of its own or without; whatever the caller's version and method."""
    replies = KnownReplies()
    known = []
    for n in (1, 2, 3, 1):
        data = b"HTTP/1.1 " + head + b"%d\r\n\r\n" % n
        parser = ReplyParser(to_head=False, replies=replies)
        parser.feed(data)
        known.append(parser.known)
        assert outcome(data, replies, to_head=to_head) == outcome(data, None, to_head=to_head)
    assert known[-1] is not None


def test_the_reply_to_a_head_request_says_nothing_of_a_body() -> None:
    """Its framing is not looked at; one to GET with the same head has its body."""
    replies = KnownReplies()
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    for _ in range(3):
        assert outcome(reply, replies, to_head=True) == outcome(reply, None, to_head=True)
    assert outcome(reply + b"a", replies, to_head=False) == outcome(
        reply + b"a", None, to_head=False
    )


def read(replies: KnownReplies, *lines: bytes, status: bytes = b"HTTP/1.1 200 OK") -> ReplyParser:
    parser = ReplyParser(to_head=False, replies=replies)
    parser.feed(b"\r\n".join((status, b"Content-Length: 0", *lines, b"", b"")))
    return parser


def test_a_reply_is_known_by_what_does_not_vary() -> None:
    """Dates and request ids differ from reply to reply."""
    replies = KnownReplies()
    known = [read(replies, b"Date: %d" % n, b"X-Request-Id: %d" % n).known for n in range(5)]
    assert known[:2] == [None, None]
    assert known[2] is not None
    assert known[2] is known[4]


def test_what_is_remembered_is_bounded() -> None:
    """Whatever Invopop's side answers; and nothing that has a cookie."""
    replies = KnownReplies()
    for n in range(200, 300):
        read(
            replies,
            *[b"X-%d: %d" % (line, n) for line in range(n % 50)],
            status=b"HTTP/1.1 %d X" % n,
        )
    assert len(replies._by_status_line) <= 2
    replies = KnownReplies()
    for lines in ([b"X: x"] * MOST_FIELDS, [b"X: " + b"x" * 5000], [b"Set-Cookie: a"]):
        for _ in range(3):
            assert read(replies, *lines).known is None
