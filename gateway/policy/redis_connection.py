"""A connection of `redis` that resolves names and verifies TLS as all connections here do.

Rule: our context decides what is verified: the library's versions differ in whether `rediss://`
checks the host name.
"""

import asyncio
import ssl
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Connection

from gateway.network.connect import connect
from gateway.network.resolver import Resolver
from gateway.network.tls import client_context, server_name


class ResolvedConnection(Connection):
    """One connection; over TLS if it is given a context."""

    def __init__(self, *, resolver: Resolver, tls: ssl.SSLContext | None, **options: Any) -> None:
        super().__init__(**options)
        self._resolver = resolver
        self._tls = tls

    async def _connect(self) -> None:
        async with asyncio.timeout(self.socket_connect_timeout):
            sock = await connect(self.host, int(self.port), self._resolver)
            name = server_name(self.host) if self._tls else None
            try:
                self._reader, self._writer = await asyncio.open_connection(
                    sock=sock, ssl=self._tls, server_hostname=name
                )
            except BaseException:
                sock.close()
                raise


def new_pool(url: str, resolver: Resolver, **options: Any) -> BlockingConnectionPool:
    """Connections to a `redis://` or `rediss://` URL without user name and password."""
    parts = urlsplit(url)
    return BlockingConnectionPool(
        connection_class=ResolvedConnection,
        host=parts.hostname,
        port=parts.port or 6379,
        db=int(parts.path.strip("/") or 0),
        resolver=resolver,
        tls=client_context(alpn=()) if parts.scheme == "rediss" else None,
        **options,
    )
