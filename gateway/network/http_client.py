"""An httpx transport for issuers and stores: names by our resolver, TLS by our rules.

Rule: no proxy, trust anchor or credential from the environment; connections only, no HTTP of ours.
"""

import asyncio
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpcore
import httpx

from gateway import __version__
from gateway.network.connect import connect
from gateway.network.failures import kind_of, reason_of, told
from gateway.network.resolver import Resolver
from gateway.network.tls import server_name

KEEP_ALIVE: Final = 5.0  # seconds for which an idle connection is kept
_AGENT: Final = f"invopop-gateway/{__version__}"


class HttpTransport(httpx.AsyncHTTPTransport):
    """HTTP/1.1 over at most `connections` connections, verified by `context`."""

    def __init__(
        self, context: ssl.SSLContext, resolver: Resolver, *, connections: int = 10
    ) -> None:
        # In the place of what httpx would make: it has no parameter for how to connect.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=connections,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=_Backend(resolver),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request, in our name; a final dot of the host is not in `Host` (RFC 9110 7.2)."""
        url = request.url
        request.headers["user-agent"] = _AGENT
        if url.host.endswith("."):
            dotless = url.copy_with(host=server_name(url.host))
            request.headers["host"] = dotless.netloc.decode("ascii")
        return await super().handle_async_request(request)


def failure_of(error: httpx.HTTPError) -> str:
    """What went wrong, for operators: of a failed connection whom it was to, and why.

    Any other is told by its class alone: its text may quote what a server sent.
    """
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return str(error)
    return type(error).__name__


class _Backend(httpcore.AsyncNetworkBackend):
    """Connects sockets as everything here does."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to a name or address. Raises ConnectTimeout, ConnectError."""
        del local_address, socket_options  # never given
        with _as_httpcore(httpcore.ConnectTimeout, httpcore.ConnectError, f"{host}:{port}"):
            async with asyncio.timeout(timeout):
                return _Stream(await connect(host, port, self._resolver), f"{host}:{port}")


class _Stream(httpcore.AsyncNetworkStream):
    """A connected socket, which becomes a stream with its first use: with TLS, or without."""

    def __init__(self, sock: Any, name: str) -> None:
        self._sock = sock
        self._name = name
        self._io: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Shakes hands and verifies the peer. Raises ConnectTimeout, ConnectError."""
        name = server_name(server_hostname or "")
        with _as_httpcore(httpcore.ConnectTimeout, httpcore.ConnectError, self._name):
            try:
                async with asyncio.timeout(timeout):
                    self._io = await asyncio.open_connection(
                        sock=self._sock, ssl=ssl_context, server_hostname=name
                    )
            except BaseException:
                self._sock.close()
                raise
        return self

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> bytes:
        """What has come, at most so much of it; nothing at the end."""
        reader, _ = await self._opened()
        with _as_httpcore(httpcore.ReadTimeout, httpcore.ReadError, self._name):
            async with asyncio.timeout(timeout):
                return await reader.read(max_bytes)

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """Sends all of it."""
        _, writer = await self._opened()
        with _as_httpcore(httpcore.WriteTimeout, httpcore.WriteError, self._name):
            async with asyncio.timeout(timeout):
                writer.write(buffer)
                await writer.drain()

    async def aclose(self) -> None:
        """Closes at once: what was asked for has been read, or is given up."""
        if self._io is None:
            self._sock.close()
        else:
            self._io[1].transport.abort()

    def get_extra_info(self, info: str) -> Any:
        """The TLS session, and whether an idle connection has ended meanwhile."""
        if self._io is None:
            return None
        reader, writer = self._io
        if info == "is_readable":
            return reader.at_eof() or writer.is_closing()
        return writer.get_extra_info(info)

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._io is None:
            self._io = await asyncio.open_connection(sock=self._sock)
        return self._io


@contextmanager
def _as_httpcore(timeout: type[Exception], failure: type[Exception], name: str) -> Iterator[None]:
    """Raises the errors that httpcore knows; a failed connection says what failed, and why."""
    try:
        yield
    except TimeoutError:
        raise timeout(told("connect_timeout", name)) from None
    except OSError as error:
        raise failure(told(kind_of(error), name, reason_of(error))) from error
