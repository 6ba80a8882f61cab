"""The transport: httpx's interface over pooled connections of our own, made for forwarding.

Law: sends the headers it is given and nothing else; follows, stores, decompresses nothing.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncIterable
from typing import NamedTuple, cast

import httpx

from gateway.errors import UpstreamError
from gateway.events import Emit, UpstreamConnected
from gateway.model import Outbound
from gateway.upstream.connection import Connection, Hooks, Lifetime
from gateway.upstream.dial import Route, dial
from gateway.upstream.pool import Pool
from gateway.upstream.request_encoder import encode
from gateway.upstream.wire import Wire


class Limits(NamedTuple):
    """Per origin. `max_idle` and `max_age` are seconds; the age is shortened by up to a tenth.

    55 s is less than what load balancers commonly keep an idle connection for (60 s): so we, not
    they, close it, and no request meets a connection that is just being closed.
    """

    max_connections: int = 256
    max_idle: float = 55.0
    max_age: float = 300.0


class Transport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over verified TLS, pooled by origin.

    A request's extensions are `target` (bytes, sent as they are) and `timeout` (`connect`, `read`,
    `write`, `pool`: seconds or None). Its stream may have `ready`: the whole body, already in
    memory, which goes out in one write with the head. A reply's stream has the same `ready`.
    Raises UpstreamError, and GatewayFault("overloaded").
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        emit: Emit,
        *,
        limits: Limits | None = None,
        proxy: tuple[str, int] | None = None,
    ) -> None:
        self._context = context
        self._emit = emit
        self._limits = limits or Limits()
        self._proxy = proxy
        self._pools: dict[tuple[bytes, int | None], Pool] = {}

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Each origin's pool, for its figures."""
        return tuple(self._pools.values())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request whose header names are lower-case."""
        body = cast("AsyncIterable[bytes]", request.stream)
        target: bytes = request.extensions.get("target", request.url.raw_path)
        outbound = Outbound(request.method, target, request.headers.raw, body)
        encoded = encode(outbound, request.extensions.get("timeout") or {})
        reply = await self.pool(request.url).exchange(encoded)
        return httpx.Response(reply.parser.status, headers=reply.parser.headers, stream=reply)

    def pool(self, url: httpx.URL) -> Pool:
        """The connections to a URL's origin. Raises httpx.UnsupportedProtocol unless https."""
        return self._pools.get((url.raw_host, url.port)) or self._add_pool(url)

    async def aclose(self) -> None:
        """Closes idle connections; those in use close when their exchange is over."""
        for pool in self._pools.values():
            pool.close()

    def _add_pool(self, url: httpx.URL) -> Pool:
        if url.scheme != "https":
            raise httpx.UnsupportedProtocol("only https:// is spoken")
        host, port = url.raw_host.decode("ascii"), url.port or 443

        async def connect(timeout: float | None) -> Connection:  # noqa: ASYNC109
            route = Route(host, port, self._context, self._proxy)
            return self._wrap(await self._dial(route, timeout), pool)

        pool = Pool(connect, self._limits.max_connections)
        self._pools[url.raw_host, url.port] = pool
        return pool

    async def _dial(self, route: Route, timeout: float | None) -> Wire:  # noqa: ASYNC109
        try:
            wire = await dial(route, timeout)
        except UpstreamError as error:
            self._emit(UpstreamConnected(error.kind))
            raise
        self._emit(UpstreamConnected("success"))
        return wire

    def _wrap(self, wire: Wire, pool: Pool) -> Connection:
        age = self._limits.max_age * random.uniform(0.9, 1.0)  # noqa: S311 - not all at once
        lifetime = Lifetime(asyncio.get_running_loop().time() + age, self._limits.max_idle)
        return Connection(wire, Hooks(pool.freed, pool.closed), lifetime)
