"""Requests as the forwarder hands them to a transport, in one line."""

from collections.abc import AsyncIterator

import httpx

TIMEOUTS = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


class Body(httpx.AsyncByteStream):
    """A request body: all of it `ready` in memory, or piece by piece."""

    def __init__(self, *pieces: bytes, ready: bytes | None = None) -> None:
        self.ready = ready
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def request(
    url: str,
    method: str = "GET",
    body: httpx.AsyncByteStream | None = None,
    *,
    target: bytes = b"/x",
    headers: tuple[tuple[bytes, bytes], ...] = (),
    **timeouts: float | None,
) -> httpx.Request:
    """A request with a `Host`, these headers, and the framing of its body."""
    fields = [(b"host", b"localhost"), *headers]
    ready = getattr(body, "ready", None)
    if ready is not None:
        fields.append((b"content-length", b"%d" % len(ready)))
    elif body is not None and not any(name == b"content-length" for name, _ in fields):
        fields.append((b"transfer-encoding", b"chunked"))
    return httpx.Request(
        method,
        url,
        headers=fields,
        stream=body or Body(ready=b""),
        extensions={"target": target, "timeout": TIMEOUTS | timeouts},
    )


async def fetch(transport: httpx.AsyncBaseTransport, sent: httpx.Request) -> tuple[int, bytes]:
    """Status and body of a request's whole reply."""
    reply = await transport.handle_async_request(sent)
    assert isinstance(reply.stream, httpx.AsyncByteStream)
    try:
        return reply.status_code, b"".join([piece async for piece in reply.stream])
    finally:
        await reply.stream.aclose()
