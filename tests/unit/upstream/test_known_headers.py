"""`known_headers`: the lines of a known request are those that it would have had unknown."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from gateway.asgi import CONTENT_LENGTH, KNOWN, PEER, TARGET
from gateway.inbound import read_inbound
from gateway.model import Inbound, Key, Peer
from gateway.secret import Secret
from gateway.server.head_reader import HeadReader
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.headers import outbound_headers
from gateway.upstream.request_encoder import Timeouts, encode
from gateway.upstream.target import Authority
from tests.support.outbound import Body

UPSTREAM = Authority(b"api.invopop.com", 443)
FIELD = st.sampled_from(
    [
        b"Authorization: Bearer igw_0123456789",
        b"X-Request-Id: 1",
        b"X-Request-Id: 23",
        b"Traceparent: 00-1",
        b"TraceParent: 00-2",
        b"X_Request_Id: 5",
        b"X-Forwarded-For: 6",
        b"User-Agent: a/1",
        b"User-Agent: b/2",
        b"Accept: a",
        b"accept: b",
        b"Connection: traceparent, user-agent",
        b"Connection: close",
        b"Content-Length: 3",
        b"Content-Length: 44",
        b"Cookie: a",
        b"Cookie: b",
    ]
)


def key(tenant: str) -> Key:
    return Key(tenant, "key", Secret(f"key-of-{tenant}"))


async def _unused(_: object) -> object:
    raise AssertionError


FORWARDER = Forwarder(_unused, UPSTREAM, print)  # type: ignore[arg-type]


def received(reader: HeadReader, lines: list[bytes], method: bytes = b"POST") -> Inbound:
    """A request as the server and `inbound` read it."""
    head = reader.read(b"\r\n".join((method + b" /x HTTP/1.1", b"Host: gw", *lines, b"", b"")), 99)
    extensions = {
        TARGET: head.target,
        PEER: Peer(""),
        CONTENT_LENGTH: head.content_length,
        KNOWN: head.known,
    }
    scope = {"method": head.method, "headers": head.headers, "extensions": extensions}
    return read_inbound(scope, "an-id", UPSTREAM).inbound


def sent(inbound: Inbound, key: Key) -> bytes:
    body = Body(ready=bytes(inbound.content_length or 0))
    return encode(FORWARDER.prepare(inbound, key, body), Timeouts()).data


@given(st.lists(st.lists(FIELD, max_size=5, unique_by=lambda line: line[:9]), max_size=10))
def test_known_requests_are_sent_as_if_they_were_the_first(heads: list[list[bytes]]) -> None:
    """To the byte, whatever came before them."""
    reader = HeadReader()
    for lines in heads:
        inbound = received(reader, lines)
        headers = outbound_headers(inbound, b"api.invopop.com", key("acme"))
        anew = dataclasses.replace(inbound, known=None)
        assert sent(inbound, key("acme")) == sent(anew, key("acme"))
        assert all(b": ".join(field) in sent(inbound, key("acme")) for field in headers)


def test_a_known_request_has_the_key_of_this_moment() -> None:
    """A key that was rotated or removed, or another tenant's, is in nothing that is remembered."""
    reader = HeadReader()
    keys = [key("old"), key("old"), key("new"), key("other"), key("new")]
    for n, current in enumerate(keys):
        request = sent(received(reader, [b"X-Request-Id: %d" % n]), current)
        assert request.count(b"key-of-") == 1
        assert b"authorization: Bearer " + current.secret.ascii + b"\r\n" in request
    known = received(reader, [b"X-Request-Id: 9"]).known
    assert known is not None
    assert not any(b"key-of-" in line for line in known.carried)
