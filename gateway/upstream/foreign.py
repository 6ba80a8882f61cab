"""Any other httpx transport in the place of ours: same requests, same errors, same replies."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Final

import httpx

from gateway.model import Outbound, Reply
from gateway.upstream.errors_map import mapped

_FAILURES: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError)


class NoBody(httpx.AsyncByteStream):
    """The body of a message that has none."""

    ready: bytes | None = b""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


class Foreign:
    """Exchanges with one origin over an httpx transport."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        origin: httpx.URL,
        timeouts: Mapping[str, float | None],
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._timeouts = timeouts

    async def exchange(self, outbound: Outbound) -> Reply:
        """The reply as it came; its errors, and its body's, are GatewayErrors."""
        request = httpx.Request(
            outbound.method,
            self._origin,
            headers=outbound.headers,
            stream=NoBody() if outbound.body is None else _Body(outbound.body),
            extensions={"target": outbound.target, "timeout": self._timeouts},
        )
        try:
            response = await self._transport.handle_async_request(request)
        except _FAILURES as error:
            raise mapped(error) from None
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - it is an async transport's
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        return Reply(response.status_code, headers, _ReplyBody(stream))


class _Body(httpx.AsyncByteStream):
    """A request's body as httpx wants it."""

    def __init__(self, body: AsyncIterable[bytes]) -> None:
        self._body = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._body.__aiter__()


class _ReplyBody:
    """A reply's body, its errors made ours."""

    ready = None

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._stream:
                yield data
        except _FAILURES as error:
            raise mapped(error) from None

    async def aclose(self) -> None:
        await self._stream.aclose()
