"""The request encoder: bytes as given, lengths held, nothing that reads as two requests."""

import pytest

from gateway.errors import GatewayFault
from gateway.model import Outbound
from gateway.upstream.request_encoder import BodyEncoder, Encoded, Timeouts, encode, encode_head
from tests.support.outbound import Body


def test_head() -> None:
    """Order, case and repeats are the caller's of this function; nothing is added."""
    head = encode_head("GET", b"/a?b", [(b"Host", b"h"), (b"x", b""), (b"x", b"\xff")])
    assert head == (b"GET /a?b HTTP/1.1\r\nHost: h\r\nx: \r\nx: \xff\r\n\r\n", 0)


@pytest.mark.parametrize(
    ("name", "value", "length"),
    [
        (b"content-length", b"7", 7),
        (b"transfer-encoding", b"chunked", None),
        (b"x-invopop-abcd", b"7", 0),
    ],
)
def test_length(name: bytes, value: bytes, length: int | None) -> None:
    """The headers say how long the body is."""
    assert encode_head("POST", b"/", [(name, value)])[1] == length


@pytest.mark.parametrize(
    "framing",
    [
        [(b"content-length", b"1"), (b"content-length", b"1")],
        [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
        [(b"transfer-encoding", b"gzip")],
    ],
)
def test_two_framings_are_refused(framing: list[tuple[bytes, bytes]]) -> None:
    """RFC 9112 6.3: no request leaves that an upstream could read in two ways."""
    with pytest.raises(GatewayFault):
        encode_head("POST", b"/", framing)


@pytest.mark.parametrize(
    ("method", "target", "field"),
    [
        ("GET", b"/ HTTP/1.1\r\nx: y\r\n\r\nGET /", (b"a", b"b")),
        ("GET", b"/a b", (b"a", b"b")),
        ("GET /x HTTP/1.1\r\n\r\nGET", b"/", (b"a", b"b")),
        ("GET", b"/", (b"a", b"b\r\nevil: 1")),
        ("GET", b"/", (b"a", b"b\nevil: 1")),
        ("GET", b"/", (b"a", b"b\revil: 1")),
        ("GET", b"/", (b"a\r\nb", b"c")),
    ],
)
def test_the_last_door(method: str, target: bytes, field: tuple[bytes, bytes]) -> None:
    """Case 169: a line break that got this far stops here, and its text is not told."""
    with pytest.raises(GatewayFault) as caught:
        encode_head(method, target, [field])
    assert "evil" not in repr(caught.value)


def outbound(method: str, body: Body | None, *framing: tuple[bytes, bytes]) -> Outbound:
    return Outbound(method, b"/", [(b"host", b"h"), *framing], body)


THREE = (b"content-length", b"3")
CHUNKED = (b"transfer-encoding", b"chunked")


def test_a_ready_body_joins_the_head() -> None:
    """One write."""
    encoded = encode(outbound("PUT", Body(ready=b"abc"), THREE), Timeouts())
    assert encoded.data.endswith(b"content-length: 3\r\n\r\nabc")
    assert encoded.stream is None


@pytest.mark.parametrize(
    ("body", "wire"), [(b"abc", b"3\r\nabc\r\n0\r\n\r\n"), (b"", b"0\r\n\r\n")]
)
def test_a_ready_body_may_be_chunked(body: bytes, wire: bytes) -> None:
    """Framing is the headers' business alone."""
    encoded = encode(outbound("POST", Body(ready=body), CHUNKED), Timeouts())
    assert encoded.data.endswith(b"chunked\r\n\r\n" + wire)


@pytest.mark.parametrize("length", [b"1", b"3"])
@pytest.mark.parametrize("body", [None, Body(ready=b"")])
def test_a_body_that_is_announced_and_missing_is_refused(body: Body | None, length: bytes) -> None:
    """An upstream would wait for it until the time-out, and take the next request for it."""
    with pytest.raises(GatewayFault):
        encode(outbound("POST", body, (b"content-length", length)), Timeouts())


def test_all_that_the_connection_needs_goes_along() -> None:
    """How long the body is, whether a reply has one, and whether an old connection will do."""
    head = b"%b / HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\n"
    headers, body, times = [(b"host", b"h"), THREE], Body(b"abc"), Timeouts(read=1.0)
    sent = encode(Outbound("HEAD", b"/", headers, body, fresh=True), times)
    assert sent == Encoded(head % b"HEAD", 3, body, True, True, times)
    sent = encode(Outbound("PUT", b"/", headers, Body(ready=b"abc"), fresh=False), times)
    assert sent == Encoded(head % b"PUT" + b"abc", 3, None, False, False, times)


@pytest.mark.parametrize("body", [b"", b"ab", b"abcd"])
def test_a_ready_body_of_another_length_is_refused(body: bytes) -> None:
    """Case 74: before anything is sent."""
    with pytest.raises(GatewayFault):
        encode(outbound("POST", Body(ready=body), THREE), Timeouts())


def test_no_body() -> None:
    """A head alone."""
    assert encode(outbound("GET", None), Timeouts()).data == b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"


def test_chunks() -> None:
    """Case 83: an empty piece is none."""
    encoder = BodyEncoder(None)
    assert [encoder.piece(b"a" * 17), encoder.piece(b""), encoder.end()] == [
        b"11\r\n" + b"a" * 17 + b"\r\n",
        b"",
        b"0\r\n\r\n",
    ]
