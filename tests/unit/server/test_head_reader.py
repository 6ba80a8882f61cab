"""`head_reader`: a head that resembles an earlier one is read as if it were the first."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.known_head import MOST_BYTES, MOST_FIELDS
from gateway.server.head_reader import HeadReader
from gateway.server.http1 import RequestHead, parse_request_head

HOST = b"Host: gw"
AUTHORIZATION = b"Authorization: Bearer igw_0123456789"
# Each time one of these: heads that differ little, in values that may vary and in others.
LINES = [
    HOST,
    b"Host: other",
    AUTHORIZATION,
    b"Authorization: Bearer igw_another",
    b"X-Request-Id: 1",
    b"X-Request-Id: 22",
    b"X-Request-Id:  1",
    b"X-Request-Id: 1 ",
    b"X-Request-Id: ",
    b"x-request-id: 1",
    b"X-Request-Id: a\x00b",
    b"X-Request-Id: a\rb",
    b"X-Request-Id: a\nHost: b",
    b"Content-Length: 1",
    b"Content-Length: 23",
    b"Content-Length: +2",
    b"Content-Length: 2, 2",
    b"Content-Length: " + b"1" * 19,
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"Connection: x-trace",
    b"Expect: 100-continue",
    b"Expect: tea",
    b"Cookie: a=b",
    b"Cookie: \xff \t b",
    b"No field",
    b" Folded: 1",
]
FIRST = [
    b"GET /a HTTP/1.1",
    b"POST /b?c HTTP/1.1",
    b"GET http://h/x?y HTTP/1.1",
    b"GET nowhere HTTP/1.1",
    b"GET /a HTTP/1.0",
    b"CONNECT h:443 HTTP/1.1",
    b"GET  /a HTTP/1.1",
    b"GET  HTTP/1.1",
    b" /a HTTP/1.1",
    b"GET /a HTTP/1.1 ",
    b"GET /a#b HTTP/1.1",
    b"GET /\x80 HTTP/1.1",
    b"GET /a\tb HTTP/1.1",
    b"GET /a\n HTTP/1.1",
    b"get /a HTTP/1.1",
    b"PROPFIND /a HTTP/1.1",
    b"GET /~!%7e HTTP/1.1",
]


def head(*lines: bytes, first: bytes = b"GET /a HTTP/1.1") -> bytes:
    return b"\r\n".join((first, *lines, b"", b""))


def outcome(read: object) -> object:
    """What reading gives, without what is known; or its error."""
    try:
        request = read()  # type: ignore[operator]
    except CallerError as error:
        return error.key, error.status, error.detail
    return replace(request, known=None)


# The same fields in each head, of which each has one of a few values; sometimes other fields.
SHAPE = st.lists(st.sampled_from(sorted({line.partition(b":")[0] for line in LINES})), max_size=4)
HEAD = st.tuples(
    st.sampled_from(FIRST),
    st.lists(st.integers(0, 2), min_size=4, max_size=4),
    st.lists(st.sampled_from(LINES), max_size=1),
)


@given(SHAPE, st.lists(HEAD, min_size=3, max_size=8))
def test_each_head_is_read_as_if_it_were_the_first(
    names: list[bytes], heads: list[tuple[bytes, list[int], list[bytes]]]
) -> None:
    """Whatever came before it: the same parts, or the same refusal."""
    reader = HeadReader()
    for first, picks, more in heads:
        lines = [HOST, *more]
        for name, pick in zip(names, picks, strict=False):
            values = [line for line in LINES if line.partition(b":")[0] == name]
            lines.append(values[pick % len(values)])
        whole = head(*lines, first=first)
        once = outcome(lambda: parse_request_head(whole, 128))  # noqa: B023 - called at once
        assert outcome(lambda: reader.read(whole, 128)) == once  # noqa: B023


def known(reader: HeadReader, *lines: bytes, first: bytes = b"GET /a HTTP/1.1") -> RequestHead:
    return reader.read(head(HOST, *lines, first=first), 128)


def test_a_head_is_known_by_what_does_not_vary() -> None:
    """Request ids and paths differ from request to request; the rest of the head is known."""
    reader = HeadReader()
    for n in range(3):
        known(reader, AUTHORIZATION, b"X-Request-Id: %d" % n)
    before = known(reader, AUTHORIZATION, b"X-Request-Id: 3")
    after = known(reader, AUTHORIZATION, b"X-Request-Id: 4", first=b"GET /b HTTP/1.1")
    assert after.known is not None
    assert after.known is before.known
    assert (after.target, after.headers[2]) == (b"/b", (b"x-request-id", b"4"))


def test_uploads_of_different_lengths_are_known() -> None:
    """Also between requests without a body: the two kinds do not displace each other."""
    reader = HeadReader()
    lengths = []
    for n in (1, 2, 3, 4):
        sent = known(reader, b"Content-Length: %d" % n, b"X: 1", first=b"POST /a HTTP/1.1")
        lengths.append(sent.content_length)
        plain = known(reader, AUTHORIZATION)
    assert lengths == [1, 2, 3, 4]
    assert sent.known is not None
    again = known(reader, b"Content-Length: 5", b"X: 1", first=b"POST /a HTTP/1.1")
    assert again.known is sent.known
    assert known(reader, AUTHORIZATION).known is plain.known


@pytest.mark.parametrize(
    "changed",
    [
        b"Authorization: Bearer igw_0123456780",
        b"Authorization: Basic igw_0123456789",
        b"Proxy-Authorization: Bearer igw_0123456789",
        b"X-Invopop-Tenant: acme",
        b"X-Request-Timeout: 1",
        b"Via: 1.1 invopop-gateway",
        b"Connection: x-request-id",
    ],
)
def test_what_decides_something_makes_another_head(changed: bytes) -> None:
    """A credential, a tenant or a deadline in place of another one is never taken for known."""
    reader = HeadReader()
    for value in (changed, changed + b"0", changed + b"00"):
        name = value.partition(b":")[0]
        before = known(reader, name + b": other")
        assert known(reader, value).known is not before.known


def test_connections_know_nothing_of_each_other() -> None:
    """The same head on two connections: each remembers its own."""
    first, second = HeadReader(), HeadReader()
    known(first, AUTHORIZATION)
    assert known(first, AUTHORIZATION).known is not known(second, AUTHORIZATION).known


def test_what_is_remembered_is_bounded() -> None:
    """Whoever varies lines, adds them or makes them long displaces only what is their own."""
    reader = HeadReader()
    for n in range(300):
        known(reader, *[b"X-%d-%d: %d" % (n, line, n) for line in range(n % 40)])
    assert len(reader._known) <= 2
    reader = HeadReader()
    assert known(reader, b"X: " + b"x" * MOST_BYTES).known is None
    assert known(reader, *[b"X: x"] * MOST_FIELDS).known is None
    assert not reader._known
    long = b"X: " + b"x" * (MOST_BYTES // 2)
    assert known(reader, long).known is not None
    assert known(reader, long, AUTHORIZATION).known is not None
    assert len(reader._known) == 1


def test_after_many_new_heads_few_are_remembered() -> None:
    """Behind a proxy that many callers share each head has another credential."""
    reader = HeadReader()
    heads = [known(reader, b"Authorization: Bearer igw_%d" % n) for n in range(160)]
    assert 16 <= sum(one.known is not None for one in heads) <= 26
    assert known(reader, AUTHORIZATION).known is None
