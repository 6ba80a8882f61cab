"""Requests as the forwarder hands them to a transport, in one line."""

from collections.abc import AsyncIterator
from typing import NamedTuple

from gateway.model import Outbound, Reply
from gateway.upstream.request_encoder import Timeouts
from gateway.upstream.target import authority_of
from gateway.upstream.transport import Transport

TIMEOUTS = Timeouts(connect=5.0, read=5.0, write=5.0, pool=5.0)


class Body:
    """A request body: all of it `ready` in memory, or piece by piece."""

    replayable = True

    def __init__(self, *pieces: bytes, ready: bytes | None = None) -> None:
        self.ready = ready
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


class Sending(NamedTuple):
    """A request, where it goes, and how long it may take."""

    url: str
    outbound: Outbound
    timeouts: Timeouts


def request(
    url: str,
    method: str = "GET",
    body: Body | None = None,
    *,
    target: bytes = b"/x",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    **timeouts: float,
) -> Sending:
    """A request with a `Host`, these headers, and the framing of its body."""
    fields = [(b"host", b"localhost"), *headers]
    if body is not None and body.ready is not None:
        fields.append((b"content-length", b"%d" % len(body.ready)))
    elif body is not None and not any(name == b"content-length" for name, _ in fields):
        fields.append((b"transfer-encoding", b"chunked"))
    return Sending(url, Outbound(method, target, fields, body), TIMEOUTS._replace(**timeouts))


async def begin(transport: Transport, sending: Sending) -> Reply:
    """A request's reply, once its head is there."""
    exchange = transport.exchange_with(authority_of(sending.url), sending.timeouts)
    return await exchange(sending.outbound)


async def fetch(transport: Transport, sending: Sending) -> tuple[int, bytes]:
    """Status and body of a request's whole reply."""
    reply = await begin(transport, sending)
    try:
        return reply.status, b"".join([piece async for piece in reply.body])
    finally:
        await reply.body.aclose()
