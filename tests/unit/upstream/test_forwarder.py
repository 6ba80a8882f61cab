"""The forwarder: an Outbound out, a Reply back, over our transport or any other of httpx's."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from gateway.errors import CallerError, UpstreamError
from gateway.events import Event, KeyEchoed, UpstreamConnected, UpstreamFailed
from gateway.model import Headers, Inbound, Key, Outbound, Peer, Reply
from gateway.secret import Secret
from gateway.upstream.forwarder import Forwarder, Timeouts
from gateway.upstream.target import Authority
from gateway.upstream.transport import Transport
from tests.support.origin import Origin, Script, answering, ok
from tests.support.outbound import Body

Origins = Callable[[Script], Origin]
Transports = Callable[..., Transport]
SECRET = "key_" + "a1B2" * 9
KEY = Key("acme", "key", Secret(SECRET), "env ACME")


def inbound(method: str = "GET", headers: Headers | None = None, length: int | None = 0) -> Inbound:
    return Inbound(
        method, b"/x?y", b"/x", headers or [], Peer(""), length, "req-1", proxy_form=False
    )


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
    forwarder = Forwarder(transport(), u.url, Timeouts(), events.append)
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
        (b"authorization", b"Bearer " + SECRET.encode()),
        (b"x-request-id", b"req-1"),
        (b"via", b"1.1 invopop-gateway"),
    ]
    assert events == [UpstreamConnected("success")]


@pytest.mark.parametrize(
    ("url", "authority", "host"),
    [
        ("https://api.invopop.com", Authority(b"api.invopop.com", 443), b"api.invopop.com"),
        (
            "https://API.invopop.com:8443/",
            Authority(b"api.invopop.com", 8443),
            b"api.invopop.com:8443",
        ),
        ("https://[::1]:8443", Authority(b"[::1]", 8443), b"[::1]:8443"),
        ("https://[::1]", Authority(b"[::1]", 443), b"[::1]"),
    ],
)
def test_its_authority(url: str, authority: Authority, host: bytes) -> None:
    """Case 66: `Host` is the upstream's, with its port if that is not 443."""
    forwarder = Forwarder(
        httpx.MockTransport(lambda _: httpx.Response(200)), url, Timeouts(), print
    )
    assert forwarder.authority == authority
    assert forwarder.prepare(inbound(), KEY, None).headers[0] == (b"host", host)


@pytest.mark.parametrize(
    ("reply", "status", "length"),
    [
        (b"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", 204, []),
        (b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", 204, []),
        (b"HTTP/1.1 205 X\r\nContent-Length: 5\r\n\r\nhello", 205, [b"0"]),
        (b"HTTP/1.1 205 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 205, [b"0"]),
        (b"HTTP/1.1 304 X\r\nContent-Length: 500\r\nETag: a\r\n\r\n", 304, [b"500"]),
    ],
)
async def test_bodiless_statuses(  # noqa: PLR0917
    origin: Origins,
    transport: Transports,
    events: list[Event],
    reply: bytes,
    status: int,
    length: list[bytes],
) -> None:
    """Cases 88 to 90: no body, and no framing that promises one."""
    forwarder = Forwarder(transport(), origin(answering(reply)).url, Timeouts(), events.append)
    got = await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert (got.status, await whole(got)) == (status, b"")
    assert [value for name, value in got.headers if name == b"content-length"] == length
    assert not any(name == b"transfer-encoding" for name, _ in got.headers)


class Broken(httpx.AsyncByteStream):
    """A reply body of another transport that breaks off."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"abc"
        raise httpx.ReadError("secret")


class Other(httpx.AsyncBaseTransport):
    """Another transport: does what the test says."""

    def __init__(self, outcome: httpx.Response | Exception) -> None:
        self.outcome = outcome
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def test_another_transports_errors_become_ours() -> None:
    """Case 116: told once, with its kind; nothing of its text crosses."""
    events: list[Event] = []
    transport = Other(httpx.ConnectTimeout("secret"))
    forwarder = Forwarder(transport, "https://h", Timeouts(), events.append)
    with pytest.raises(UpstreamError) as caught:
        await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert (caught.value.kind, caught.value.sent) == ("connect_timeout", False)
    assert caught.value.__cause__ is None
    assert events == [UpstreamFailed("connect_timeout", "req-1")]


async def test_another_transports_body_breaks_off_as_ours_does() -> None:
    """Case 85: what came is delivered, then an UpstreamError."""
    forwarder = Forwarder(
        Other(httpx.Response(200, stream=Broken())), "https://h", Timeouts(), lambda _: None
    )
    reply = await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert reply.body.ready is None
    pieces = reply.body.__aiter__()
    assert await anext(pieces) == b"abc"
    with pytest.raises(UpstreamError) as caught:
        await anext(pieces)
    assert caught.value.kind == "closed"
    await reply.body.aclose()


async def test_the_callers_own_error_passes_through() -> None:
    """A body that stalls or breaks is not the upstream's failure, and not told as one."""
    events: list[Event] = []
    forwarder = Forwarder(
        Other(CallerError("request_timeout")), "https://h", Timeouts(), events.append
    )
    with pytest.raises(CallerError):
        await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert events == []


async def test_an_echo_is_redacted_and_told() -> None:
    """The key in a reply's header is gone, and the tenant's name is told."""
    events: list[Event] = []
    response = httpx.Response(200, headers=[("X-Debug", SECRET)], stream=Body())
    forwarder = Forwarder(Other(response), "https://h", Timeouts(), events.append)
    reply = await forwarder.send(forwarder.prepare(inbound(), KEY, None), KEY, "req-1")
    assert (b"x-debug", b"[redacted]") in reply.headers
    assert events == [KeyEchoed("acme")]


async def test_what_a_transport_gets() -> None:
    """Target and timeouts as extensions, the origin as the URL, the headers untouched."""
    transport = Other(httpx.Response(200, stream=Body()))
    forwarder = Forwarder(transport, "https://h", Timeouts(1, 2, 3, 4), lambda _: None)
    outbound = Outbound("GET", b"/a%2Fb?", [(b"host", b"h"), (b"x", b"1"), (b"x", b"2")], None)
    await forwarder.send(outbound, KEY, "req-1")
    request = transport.requests[0]
    assert request.extensions == {
        "target": b"/a%2Fb?",
        "timeout": {"connect": 1, "read": 2, "write": 3, "pool": 4},
    }
    assert request.headers.raw == outbound.headers
    assert str(request.url) == "https://h"
    assert [piece async for piece in request.stream] == []  # type: ignore[union-attr]
