"""TCP connections by name: the first that comes about among all of a host's addresses (RFC 8305).

Own code in place of aiohappyeyeballs, because that calls `loop.sock_connect`, which on uvloop sends
even a numeric address through a thread that resolves names.
"""

import asyncio
import itertools
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final

from gateway.network.resolver import Address, Resolver

STAGGER: Final = 0.25  # seconds until the next address is tried beside the last: RFC 8305 5


async def connect(host: str, port: int, resolver: Resolver) -> socket.socket:
    """A connected, non-blocking socket. Raises `socket.gaierror`, or the last address's OSError.

    An old answer that leads nowhere is given up for the new one, once that is there.
    """
    addresses, stale = await resolver.resolve(host)
    try:
        return await _race(addresses, port)
    except OSError:
        if not stale:
            raise
    await resolver.settled(host)
    addresses, _ = await resolver.resolve(host)
    return await _race(addresses, port)


async def _race(found: Sequence[Address], port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    addresses = deque(_alternating(found))
    pending: set[asyncio.Task[socket.socket]] = set()
    error: BaseException = OSError("no address")
    try:
        while addresses or pending:
            if addresses:
                pending.add(loop.create_task(_connect(addresses.popleft(), port)))
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


def _alternating(found: Sequence[Address]) -> list[Address]:
    """The resolver's order (RFC 6724), families taking turns (RFC 8305 4)."""
    first = found[0][0]
    one = [address for address in found if address[0] == first]
    other = [address for address in found if address[0] != first]
    turns = itertools.zip_longest(one, other)
    return [address for turn in turns for address in turn if address is not None]


async def _connect(address: Address, port: int) -> socket.socket:
    family, (host, _, *rest) = address
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            sock.connect((host, port, *rest))
        except BlockingIOError:
            await _attempted(sock)
    except BaseException:
        sock.close()
        raise
    return sock


async def _attempted(sock: socket.socket) -> None:
    """Waits for the end of a connection attempt. Raises OSError if it failed."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sock, _set, ended)
    try:
        await ended
    finally:
        loop.remove_writer(sock)
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number:
        raise OSError(number, os.strerror(number))


def _set(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


def _close_result(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()
