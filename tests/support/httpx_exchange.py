"""Any httpx transport in the place of ours, below the forwarder."""

from collections.abc import AsyncIterator

import httpx

from gateway.model import Outbound, Reply, RequestBody
from gateway.upstream.target import Authority

AUTHORITY = Authority(b"api.invopop.com", 443)


class HttpxExchange:
    """Sends by an httpx transport; what that raises should be errors of the gateway's."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def __call__(self, outbound: Outbound) -> Reply:
        request = httpx.Request(
            outbound.method,
            "https://api.invopop.com",
            headers=outbound.headers,
            stream=_Body(outbound.body),
            extensions={"target": outbound.target},
        )
        response = await self._transport.handle_async_request(request)
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        return Reply(response.status_code, headers, _ReplyBody(response.stream))


class _Body(httpx.AsyncByteStream):
    """A request's body as httpx wants it."""

    def __init__(self, body: RequestBody | None) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._body is not None:
            async for piece in self._body:
                yield piece


class _ReplyBody:
    """A reply's body as the pipeline wants it."""

    ready = None

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream | None) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self._stream = stream
        self.aclose = stream.aclose

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()
