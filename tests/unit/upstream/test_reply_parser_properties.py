"""The reply parser under whatever bytes hypothesis thinks of, and against a second parser."""

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.upstream.reply_parser import ReplyParser

OK = b"HTTP/1.1 200 OK\r\n"


def parse(*pieces: bytes, to_head: bool = False) -> ReplyParser:
    parser = ReplyParser(to_head=to_head)
    for piece in pieces:
        parser.feed(piece)
    return parser


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.data())
def test_chunked_bodies_round_trip(pieces: list[bytes], data: st.DataObject) -> None:
    """Whatever is chunked comes out again, however it is cut on the way."""
    wire = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    wire += b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(1, len(wire) - 1), max_size=8)))
    parts = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    parser = parse(*(part for part in parts if part))
    assert (parser.complete, parser.keep_alive) == (True, True)
    assert parser.take() == b"".join(pieces)


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.booleans())
def test_any_bytes_give_a_reply_or_an_upstream_error(pieces: list[bytes], head: bool) -> None:
    """The parser fails in one way only."""
    try:
        parse(OK[:9], *pieces, to_head=head).end(clean=True)
    except UpstreamError as error:
        kind = error.kind
    else:
        kind = "protocol"
    assert kind in {"protocol", "invalid_status", "closed", "truncated"}


LINES = st.sampled_from(
    [
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked ",
        b"Connection: close",
        b"X: \xff y",
        b"X-Empty:",
        b"X:y\t",
        b"X : y",
        b" folded",
        b"X: \x01",
    ]
)
BODIES = st.sampled_from(
    [
        b"",
        b"abc",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"3;x=y\r\nabc\r\n0\r\nT: t\r\n\r\n",
        b"0\r\n\r\n",
        b"2\r\nab",
    ]
)
STATUSES = st.sampled_from([b"200 OK", b"204 No", b"304 ", b"500 \xff", b"600 X", b"99 X"])


@settings(max_examples=500)
@given(STATUSES, st.lists(LINES, max_size=3), BODIES, st.sampled_from(["GET", "HEAD"]))
def test_a_second_strict_parser_agrees(
    status: bytes, lines: list[bytes], body: bytes, method: str
) -> None:
    """What is read here as a whole reply, h11 reads as the same one."""
    wire = b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", body])
    parser = ReplyParser(to_head=method == "HEAD")
    try:
        parser.feed(wire)
    except UpstreamError:
        return
    if not parser.complete or not parser.keep_alive:
        return
    other = h11.Connection(h11.CLIENT)
    other.send(h11.Request(method=method, target="/", headers=[("Host", "h")]))
    other.send(h11.EndOfMessage())
    other.receive_data(wire)
    head, data = other.next_event(), b""
    assert isinstance(head, h11.Response)
    while isinstance(event := other.next_event(), h11.Data):
        data += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert (head.status_code, data) == (parser.status, parser.take())
    theirs = [(name, value.lower()) for name, value in head.headers]
    assert theirs == [(name, value.lower()) for name, value in parser.headers]
    assert other.trailing_data == (b"", False)
