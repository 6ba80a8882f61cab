"""Dial: from a host name to a TLS connection whose peer is verified; directly or by CONNECT.

Rule: every failure leaves as an UpstreamError with `sent` false, and no socket behind.
"""

import asyncio
import re
import socket
import ssl
from typing import Final, NamedTuple

from gateway.errors import UpstreamError
from gateway.flush_queue import FlushQueue
from gateway.network.connect import connect
from gateway.network.failures import kind_of, reason_of, told
from gateway.network.resolver import Resolver
from gateway.network.tls import server_name
from gateway.upstream.failures import failure
from gateway.upstream.wire import Wire

_PROXY_HEAD: Final = 16 * 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r\n")


class Route(NamedTuple):
    """Where a connection goes (an IDNA host name), and through which proxy, if any."""

    host: str
    port: int
    context: ssl.SSLContext
    resolver: Resolver
    flushes: FlushQueue
    proxy: tuple[str, int] | None = None

    @property
    def name(self) -> str:
        """Host and port as the log names them."""
        return f"{server_name(self.host)}:{self.port}"


async def dial(route: Route, timeout: float | None) -> Wire:  # noqa: ASYNC109 - all of it as one
    """A connection ready for the first request. `timeout` bounds DNS, TCP, proxy and TLS together.

    Raises UpstreamError: `dns`, `connect_refused`, `connect`, `proxy`, `tls`, `connect_timeout`.
    """
    host, port = route.proxy or (route.host, route.port)
    reached = f"proxy {host}:{port}" if route.proxy else route.name
    try:
        async with asyncio.timeout(timeout):
            sock = await connect(host, port, route.resolver)
            return await _secure(sock, route)
    except TimeoutError:
        reason = "its name was not resolved in time" if route.resolver.unanswered(host) else ""
        cause = told("connect_timeout", reached if reason else route.name, reason)
        raise failure("connect_timeout", sent=False, cause=cause) from None
    except OSError as error:
        kind = kind_of(error)
        cause = told(kind, reached, reason_of(error))
        raise failure(kind, sent=False, cause=cause) from None


async def _secure(sock: socket.socket, route: Route) -> Wire:
    loop = asyncio.get_running_loop()
    try:
        if route.proxy is not None:
            await _tunnel(sock, route)
        wire = Wire(sock, route.context, server_name(route.host), route.flushes)
        await loop.create_connection(lambda: wire, sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        await wire.handshake()
    except (ssl.SSLError, ConnectionResetError) as error:
        wire.close()  # the alert that says why goes out first
        cause = told("tls", route.name, reason_of(error))
        raise failure("tls", sent=False, cause=cause) from None
    except BaseException:
        wire.abort()
        raise
    return wire


async def _tunnel(sock: socket.socket, route: Route) -> None:
    """Asks the proxy for a tunnel (RFC 9110 9.3.6). Raises UpstreamError `proxy`."""
    loop = asyncio.get_running_loop()
    host = server_name(route.host)
    authority = (f"[{host}]" if ":" in host else host).encode("ascii") + b":%d" % route.port
    try:
        await loop.sock_sendall(
            sock, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (authority, authority)
        )
        status, rest = await _answer(sock, route)
    except OSError as error:
        raise _refused(route, reason_of(error)) from None
    if not 200 <= status <= 299:
        raise _refused(route, f"it answered {status}" if status else "its answer is not HTTP/1.1")
    if rest:  # the upstream says nothing before our ClientHello: these bytes are not its own
        raise _refused(route, "it sent more than its answer")


async def _answer(sock: socket.socket, route: Route) -> tuple[int, bytes]:
    """The status of the proxy's final answer (0: none), and what came behind its head.

    Interim answers come before it (RFC 9110 15.2). In a 2xx to CONNECT the framing fields mean
    nothing (9.3.6), so no field is looked at.
    """
    loop = asyncio.get_running_loop()
    data, taken = b"", 0
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        if end:
            line = _STATUS_LINE.match(head + end)
            status = int(line[1]) if line else 0
            if not 100 <= status <= 199 or status == 101:
                return status, rest
            data = rest
            continue
        more = await loop.sock_recv(sock, 4096)
        taken += len(more)
        if not more or taken > _PROXY_HEAD:
            raise _refused(route, "it broke off" if not more else "its answer is too long")
        data += more


def _refused(route: Route, reason: str) -> UpstreamError:
    proxy = "{}:{}".format(*(route.proxy or ("", 0)))
    return failure("proxy", sent=False, cause=told("proxy", proxy, reason))
