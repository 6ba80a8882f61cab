"""The forwarder: an Outbound goes to the upstream by any httpx transport, a Reply comes back.

Law: speaks for one upstream; no request leaves with a key other than the one it was prepared with.
"""

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import NamedTuple

import httpx

from gateway.errors import UpstreamError
from gateway.events import Emit, KeyEchoed, UpstreamFailed
from gateway.model import Headers, Inbound, Key, Outbound, Reply
from gateway.upstream.foreign import Foreign, NoBody
from gateway.upstream.headers import outbound_headers, reply_headers
from gateway.upstream.request_encoder import encode
from gateway.upstream.target import Authority
from gateway.upstream.transport import Transport

Exchange = Callable[[Outbound], Awaitable[Reply]]


class Timeouts(NamedTuple):
    """Seconds: to connect, of silence from the upstream, of its not reading, in line for a slot."""

    connect: float = 5.0
    read: float = 75.0
    write: float = 75.0
    pool: float = 5.0


class Forwarder:
    """Sends requests to one upstream, the origin `https://host[:port]`."""

    def __init__(
        self, transport: httpx.AsyncBaseTransport, url: str, timeouts: Timeouts, emit: Emit
    ) -> None:
        origin = httpx.URL(url)
        self._timeouts: dict[str, float] = timeouts._asdict()
        self._exchange: Exchange
        if isinstance(transport, Transport):  # past httpx's own objects: they cost a quarter more
            self._exchange = self._native
            self._pool = transport.pool(origin)
        else:
            self._exchange = Foreign(transport, origin, self._timeouts).exchange
        self._emit = emit
        self._host = origin.netloc
        host = self._host.rpartition(b":")[0] if origin.port else self._host
        self.authority = Authority(host, origin.port or 443)

    def prepare(self, inbound: Inbound, key: Key, body: AsyncIterable[bytes] | None) -> Outbound:
        """The request as it goes upstream. `body` may have `ready`: all of it, in memory."""
        headers = outbound_headers(inbound, self._host, key)
        return Outbound(inbound.method, inbound.target, headers, body)

    async def send(self, outbound: Outbound, key: Key, request_id: str) -> Reply:
        """One attempt: the reply, once its head is there.

        Raises UpstreamError, GatewayFault, or what the outbound body raises. The reply's body
        raises UpstreamError where it breaks off; its `aclose` must be awaited in the end.
        """
        try:
            reply = await self._exchange(outbound)
        except UpstreamError as error:
            self._emit(UpstreamFailed(error.kind, request_id))
            raise
        headers, echoed = reply_headers(reply.headers, key, self._host, request_id)
        if echoed:
            self._emit(KeyEchoed(key.tenant))
        reply.headers = headers
        if reply.status in (204, 205):
            await reply.body.aclose()
            reply.headers = _bodiless(reply.status, headers)
            reply.body = NoBody()
        return reply

    async def _native(self, outbound: Outbound) -> Reply:
        reply = await self._pool.exchange(encode(outbound, self._timeouts))
        return Reply(reply.parser.status, reply.parser.headers, reply)


def _bodiless(status: int, headers: Headers) -> Headers:
    """RFC 9110 8.6: a 204 has no Content-Length; RFC 9110 15.3.6: a 205 has an empty body."""
    rest = [field for field in headers if field[0] != b"content-length"]
    return rest if status == 204 else [*rest, (b"content-length", b"0")]
