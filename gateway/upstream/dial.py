"""Dial: from a host name to a TLS connection whose peer is verified; directly or by CONNECT.

Law: every failure leaves as an UpstreamError with `sent` false, and no socket behind.
"""

import asyncio
import itertools
import socket
import ssl
from collections import deque
from typing import Any, Final, NamedTuple

import httptools

from gateway.upstream.failures import failure
from gateway.upstream.wire import Wire

STAGGER: Final = 0.25  # seconds until the next address is tried beside the last: RFC 8305 5
_PROXY_HEAD: Final = 16 * 1024


class Route(NamedTuple):
    """Where a connection goes (an IDNA host name), and through which proxy, if any."""

    host: str
    port: int
    context: ssl.SSLContext
    proxy: tuple[str, int] | None = None


async def dial(route: Route, timeout: float | None) -> Wire:  # noqa: ASYNC109 - all of it as one
    """A connection ready for the first request. `timeout` bounds DNS, TCP, proxy and TLS together.

    Raises UpstreamError: `dns`, `connect_refused`, `connect`, `proxy`, `tls`, `connect_timeout`.
    """
    try:
        async with asyncio.timeout(timeout):
            sock = await _open(*(route.proxy or (route.host, route.port)))
            return await _secure(sock, route)
    except TimeoutError:
        raise failure("connect_timeout", sent=False) from None
    except socket.gaierror:
        raise failure("dns", sent=False) from None
    except ConnectionRefusedError:
        raise failure("connect_refused", sent=False) from None
    except OSError:
        raise failure("connect", sent=False) from None


async def _secure(sock: socket.socket, route: Route) -> Wire:
    loop = asyncio.get_running_loop()
    try:
        if route.proxy is not None:
            await _tunnel(sock, route)
        wire = Wire(sock, route.context, route.host)
        await loop.create_connection(lambda: wire, sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        await wire.handshake()
    except (ssl.SSLError, ConnectionResetError):
        wire.close()  # the alert that says why goes out first
        raise failure("tls", sent=False) from None
    except BaseException:
        wire.abort()
        raise
    return wire


async def _open(host: str, port: int) -> socket.socket:
    """The first connection that comes about among all of a host's addresses (RFC 8305)."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = deque(_alternating(found))
    pending: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("no address")
    try:
        while addresses or pending:
            if addresses:
                pending.add(loop.create_task(_connect(*addresses.popleft())))
            done, pending = await asyncio.wait(
                pending,
                timeout=STAGGER if addresses else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                error = task.exception() or error
            won = [task.result() for task in done if task.exception() is None]
            for spare in won[1:]:
                spare.close()
            if won:
                return won[0]
    finally:
        for task in pending:
            task.add_done_callback(_close_result)
            task.cancel()
    raise error


def _alternating(found: list[Any]) -> list[tuple[int, Any]]:
    """The resolver's order (RFC 6724), families taking turns (RFC 8305 4)."""
    first = found[0][0]
    one = [(entry[0], entry[4]) for entry in found if entry[0] == first]
    other = [(entry[0], entry[4]) for entry in found if entry[0] != first]
    turns = itertools.zip_longest(one, other)
    return [address for turn in turns for address in turn if address is not None]


async def _connect(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _tunnel(sock: socket.socket, route: Route) -> None:
    """Asks the proxy for a tunnel (RFC 9110 9.3.6). Raises UpstreamError `proxy`."""
    loop = asyncio.get_running_loop()
    host = f"[{route.host}]" if ":" in route.host else route.host
    authority = f"{host}:{route.port}".encode("ascii")
    head = b""
    try:
        await loop.sock_sendall(
            sock, b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (authority, authority)
        )
        while b"\r\n\r\n" not in head:
            data = await loop.sock_recv(sock, 4096)
            head += data
            if not data or len(head) > _PROXY_HEAD:
                raise failure("proxy", sent=False)
    except OSError:
        raise failure("proxy", sent=False) from None
    # The upstream says nothing before our ClientHello: bytes after the head are not its own.
    if not head.endswith(b"\r\n\r\n") or not 200 <= _status(head) <= 299:
        raise failure("proxy", sent=False)


def _status(head: bytes) -> int:
    parser = httptools.HttpResponseParser(object())
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return 0
    return parser.get_status_code()
