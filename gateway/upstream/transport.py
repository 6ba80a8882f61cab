"""The transport: pooled connections to each origin, made for forwarding.

Rule: sends the headers it is given and nothing else; follows, stores, decompresses nothing.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable
from typing import Final, NamedTuple

from gateway.errors import UpstreamError
from gateway.events import Emit, UpstreamConnected
from gateway.flush_queue import FlushQueue
from gateway.model import Outbound, Reply
from gateway.network.resolver import Resolver
from gateway.upstream.connection import Connection, ConnectionWire, Hooks, Lifetime
from gateway.upstream.dial import Route, dial
from gateway.upstream.forwarder import RoundTrip
from gateway.upstream.pool import Pool
from gateway.upstream.request_encoder import Timeouts, encode
from gateway.upstream.target import Authority


class PoolLimits(NamedTuple):
    """Per origin. `max_idle` and `max_age` are seconds; the age is shortened by up to a tenth.

    55 s is less than what load balancers commonly keep an idle connection for (60 s): so we, not
    they, close it, and no request meets a connection that is just being closed.
    """

    max_connections: int = 256
    max_idle: float = 55.0
    max_age: float = 300.0


class PooledOrigin:
    """One origin, and its pooled connections."""

    __slots__ = ("_pool", "_timeouts")

    def __init__(self, pool: Pool, timeouts: Timeouts) -> None:
        self._pool = pool
        self._timeouts = timeouts

    async def exchange(self, outbound: Outbound) -> Reply:
        """One attempt: the reply as it came, once its head is there.

        Raises UpstreamError, GatewayFault("overloaded"), or what the outbound body raises.
        """
        reply = await self._pool.exchange(encode(outbound, self._timeouts))
        parser = reply.parser
        answer = Reply(parser.status, parser.headers, reply)
        answer.known, answer.head = parser.known, parser.head
        return answer


class Transport:
    """HTTP/1.1 over verified TLS, pooled by origin."""

    def __init__(
        self,
        context: ssl.SSLContext,
        emit: Emit,
        *,
        limits: PoolLimits | None = None,
        proxy: tuple[str, int] | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._context = context
        self._emit = emit
        self._limits = limits or PoolLimits()
        self._proxy = proxy
        self.resolver: Final = resolver or Resolver(emit)
        self._pools: dict[Authority, Pool] = {}

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Each origin's pool, for its figures."""
        return tuple(self._pools.values())

    def exchange_with(
        self, authority: Authority, timeouts: Timeouts, most: int | None = None
    ) -> RoundTrip:
        """What sends requests to that origin, over at most `most` connections (None: the limit)."""
        most = self._limits.max_connections if most is None else most
        pool = self._pools.get(authority) or self._add_pool(authority, most)
        return PooledOrigin(pool, timeouts).exchange

    async def aclose(self) -> None:
        """Closes idle connections; those in use close when their exchange is over."""
        for pool in self._pools.values():
            pool.close()

    def _add_pool(self, authority: Authority, most: int) -> Pool:
        host = authority.host.strip(b"[]").decode("ascii")

        async def connect(timeout: float) -> Connection:  # noqa: ASYNC109
            return self._wrap(await self._dial(route, timeout), pool)

        pool = self._pools[authority] = Pool(connect, most)
        flushes = FlushQueue(lambda: pool.active)
        route = Route(host, authority.port, self._context, self.resolver, flushes, self._proxy)
        return pool

    async def _dial(self, route: Route, timeout: float) -> ConnectionWire:  # noqa: ASYNC109
        try:
            dialled: Awaitable[ConnectionWire] = dial(route, timeout)  # any: a bench has its own
            wire = await dialled
        except UpstreamError as error:
            self._emit(UpstreamConnected(error.kind))
            raise
        self._emit(UpstreamConnected("success"))
        return wire

    def _wrap(self, wire: ConnectionWire, pool: Pool) -> Connection:
        age = self._limits.max_age * random.uniform(0.9, 1.0)  # noqa: S311 - not all at once
        lifetime = Lifetime(asyncio.get_running_loop().time() + age, self._limits.max_idle)
        return Connection(wire, Hooks(pool.freed, pool.closed), lifetime)
