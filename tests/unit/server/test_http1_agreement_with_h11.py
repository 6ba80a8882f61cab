"""A second strict parser reads whatever we accept exactly as we do: no request hides in another."""

from collections.abc import Callable

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import CallerError
from gateway.server.body import Body, ChunkedBody, SizedBody
from gateway.server.http1 import parse_request_head

Read = tuple[str, bytes, list[tuple[bytes, bytes]], bytes, bytes]


def ours(wire: bytes) -> Read | None:
    """Method, target, fields, body and rest of the first request; None if refused or not whole."""
    head, blank, rest = wire.partition(b"\r\n\r\n")
    if not blank:
        return None
    try:
        request = parse_request_head(head + blank, 128)
        body, left = read_body(request.content_length, rest)
    except CallerError:
        return None
    if left is None:
        return None
    return request.method, request.target, request.headers, body, left


def read_body(length: int | None, data: bytes) -> tuple[bytes, bytes | None]:
    """The body, and what follows it."""
    if length == 0:
        return b"", data
    body: Body = ChunkedBody() if length is None else SizedBody(length)
    return body.decode(data) if data else (b"", None)


def theirs(wire: bytes) -> Read:
    """The same by h11. Raises what h11 raises."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(wire)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    body = b""
    while isinstance(event := connection.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    fields = list(request.headers)
    return request.method.decode(), request.target, fields, body, connection.trailing_data[0]


CHUNKS = b'3;a="b"\r\nabc\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\nrest'
SEEDS = [
    b"GET /a?b=c HTTP/1.1\r\nHost: gw\r\nX-A:  \t y z \t\r\nX-B:\r\n\r\nGET / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\nHost: gw:80\r\nContent-Length: 5\r\n\r\nabcdeGET",
    b"PUT http://h/x HTTP/1.1\r\nhost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
]
INSERTS = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b":",
    b"\t",
    b" ",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b",",
    b";",
    b"0",
    b"-",
]
INSERTS += [
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: x\r\n",
    b"\r\n\r\n",
    b"0\r\n",
]


def delete(wire: bytes, at: int, size: int, insert: bytes) -> bytes:
    """Takes some bytes out."""
    return wire[:at] + wire[at + size :]


def put(wire: bytes, at: int, size: int, insert: bytes) -> bytes:
    """Puts something in."""
    return wire[:at] + insert + wire[at:]


def replace(wire: bytes, at: int, size: int, insert: bytes) -> bytes:
    """Puts something in another's place."""
    return wire[:at] + insert + wire[at + size :]


def repeat(wire: bytes, at: int, size: int, insert: bytes) -> bytes:
    """Doubles some bytes."""
    return wire[: at + size] + wire[at:]


Mutation = Callable[[bytes, int, int, bytes], bytes]
MUTATIONS: list[Mutation] = [delete, put, replace, repeat]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A lawful request after up to four accidents."""
    wire = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 4))):
        mutate = draw(st.sampled_from(MUTATIONS))
        at = draw(st.integers(0, len(wire)))
        wire = mutate(wire, at, draw(st.integers(1, 20)), draw(st.sampled_from(INSERTS)))
    return wire


@settings(max_examples=2000)
@given(mutated())
def test_what_we_accept_h11_reads_the_same(wire: bytes) -> None:
    """Method, target, fields, body, and where the next request begins."""
    read = ours(wire)
    if read is not None:
        assert theirs(wire) == read


def test_the_seeds_are_lawful() -> None:
    """Or the comparison would be of nothing."""
    for seed in SEEDS:
        assert ours(seed) is not None
