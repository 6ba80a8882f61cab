"""The forwarder: an Outbound out, a Reply back; both with the right headers."""

from collections.abc import Callable

import pytest

from gateway.errors import CallerError, UpstreamError
from gateway.events import Event, KeyEchoed, UpstreamConnected, UpstreamFailed
from gateway.model import Headers, Inbound, Key, Outbound, Peer, Reply
from gateway.secret import Secret
from gateway.upstream.failures import failure
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.headers import USER_AGENT
from gateway.upstream.target import Authority, authority_of
from gateway.upstream.transport import Transport
from tests.support.origin import Origin, Script, answering, ok
from tests.support.outbound import TIMEOUTS, Body

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]
SECRET = "key_" + "a1B2" * 9
AUTHORITY = Authority(b"h", 8443)
KEY = Key("acme", "key", Secret(SECRET))


def inbound(method: str = "GET", headers: Headers | None = None, length: int | None = 0) -> Inbound:
    return Inbound(
        method, b"/x?y", b"/x", headers or [], Peer(""), length, "req-1", proxy_form=False
    )


def made(transport: Transport, url: str, events: list[Event]) -> Forwarder:
    """A forwarder over a real transport."""
    authority = authority_of(url)
    return Forwarder(transport.exchange_with(authority, TIMEOUTS), authority, events.append)


async def whole(reply: Reply) -> bytes:
    """A reply's body, from `ready` or piece by piece."""
    try:
        if reply.body.ready is not None:
            return reply.body.ready
        return b"".join([piece async for piece in reply.body])
    finally:
        await reply.body.aclose()


async def test_an_exchange(origin: Origins, transport: Transports, events: list[Event]) -> None:
    """The key goes up; headers and body come back; nothing is told but the connect."""
    u = origin(answering(ok(b"pong", b"Server: x", b"Keep-Alive: timeout=5")))
    forwarder = made(transport(), u.url, events)
    outbound = forwarder.prepare(inbound("POST", [(b"accept", b"*/*")], 2), KEY, Body(ready=b"hi"))
    reply = await forwarder.send(outbound, KEY, "req-1")
    assert (reply.status, await whole(reply)) == (200, b"pong")
    assert reply.headers == [
        (b"content-length", b"4"),
        (b"server", b"x"),
        (b"x-request-id", b"req-1"),
        (b"via", b"1.1 invopop-gateway"),
    ]
    seen = u.requests[0]
    assert (seen.method, seen.target, seen.body) == (b"POST", b"/x?y", b"hi")
    assert seen.headers == [
        (b"host", f"localhost:{u.port}".encode()),
        (b"accept", b"*/*"),
        (b"content-length", b"2"),
        USER_AGENT,
        (b"authorization", b"Bearer " + SECRET.encode()),
        (b"x-request-id", b"req-1"),
        (b"via", b"1.1 invopop-gateway"),
    ]
    assert events == [UpstreamConnected("success")]


def test_the_host_is_the_upstreams() -> None:
    """Case 66: with its port if that is not 443."""
    forwarder = Forwarder(Scripted(failure("dns", sent=False)), AUTHORITY, print)
    assert forwarder.prepare(inbound(), KEY, None).headers[0] == (b"host", b"h:8443")


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", 204),
        (b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", 204),
        (b"HTTP/1.1 205 X\r\nContent-Length: 5\r\n\r\nhello", 205),
        (b"HTTP/1.1 205 X\r\nContent-Length: 500\r\n\r\nhello", 205),
        (b"HTTP/1.1 205 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 205),
        (b"HTTP/1.1 304 X\r\nContent-Length: 500\r\nETag: a\r\n\r\n", 304),
    ],
)
async def test_bodiless_statuses(
    origin: Origins, transport: Transports, events: list[Event], reply: bytes, status: int
) -> None:
    """Cases 88 to 90: there is no body, whatever the upstream announces or sends."""
    forwarder = made(transport(), origin(answering(reply)).url, events)
    got = await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert (got.status, await whole(got)) == (status, b"")


class Scripted:
    """In the place of a transport: does what the test says."""

    def __init__(self, outcome: Reply | Exception) -> None:
        self.outcome = outcome
        self.sent: list[Outbound] = []

    async def __call__(self, outbound: Outbound) -> Reply:
        self.sent.append(outbound)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def test_a_failure_is_told_with_its_kind() -> None:
    """Case 116: once."""
    events: list[Event] = []
    scripted = Scripted(failure("connect_timeout", sent=False))
    forwarder = Forwarder(scripted, AUTHORITY, events.append)
    with pytest.raises(UpstreamError):
        await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert events == [UpstreamFailed("connect_timeout", "req-1")]


async def test_the_callers_own_error_passes_through() -> None:
    """A body that stalls or breaks is not the upstream's failure, and not told as one."""
    events: list[Event] = []
    forwarder = Forwarder(Scripted(CallerError("request_timeout")), AUTHORITY, events.append)
    with pytest.raises(CallerError):
        await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert events == []


async def test_an_echo_is_redacted_and_told(
    origin: Origins, transport: Transports, events: list[Event]
) -> None:
    """The key in a reply's header is gone, and the tenant's name is told."""
    u = origin(answering(ok(b"pong", b"X-Debug: " + SECRET.encode())))
    forwarder = made(transport(), u.url, events)
    reply = await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert (b"x-debug", b"[redacted]") in reply.headers
    assert events == [UpstreamConnected("success"), KeyEchoed("acme")]
    await reply.body.aclose()


async def test_what_was_prepared_is_what_is_sent() -> None:
    """Target, headers and body, as they are."""
    scripted = Scripted(failure("dns", sent=False))
    forwarder = Forwarder(scripted, AUTHORITY, lambda _: None)
    headers = [(b"host", b"h"), (b"x", b"1"), (b"x", b"2")]
    outbound = Outbound("POST", b"/a%2Fb?", headers, Body(ready=b"x"))
    with pytest.raises(UpstreamError):
        await forwarder.send(outbound, KEY, "req-1")
    assert scripted.sent == [outbound]
