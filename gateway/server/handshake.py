"""Callers' connections until their TLS handshakes are over: counted and bounded from the first.

Rule: each has its place among the listener's connections at once. asyncio's own TLS servers report
a connection only after its handshake, so that no limit could hold for those that send nothing.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from typing import Final

from gateway.server.listener import Listener
from gateway.server.protocol import HttpProtocol

_ACCEPTS_PER_TURN: Final = 16
_NO_MORE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE: Final = 1.0  # seconds without accepting, when the process or the system is out of files


class TlsServer:
    """Listens on a socket and takes connections from it, for as long as it is not closed."""

    def __init__(
        self, listener: Listener, sock: socket.socket, tls: ssl.SSLContext, backlog: int
    ) -> None:
        self._listener = listener
        self._sock = sock
        self._tls = tls
        self._resuming: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        sock.listen(backlog)
        self._resume()

    def close(self) -> None:
        """Accepts no more connections; handshakes in progress go on. May be called twice."""
        if self._sock.fileno() < 0:
            return
        if self._resuming is not None:
            self._resuming.cancel()
        self._listener.loop.remove_reader(self._sock)
        self._sock.close()

    def _resume(self) -> None:
        self._listener.loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                caller, _ = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_MORE:
                    self._listener.loop.remove_reader(self._sock)
                    self._resuming = self._listener.loop.call_later(_PAUSE, self._resume)
                    return
                continue  # that one caller has gone again
            if self._listener.is_full():
                caller.close()
            else:
                Handshake(self._listener, caller, self._tls)


class Handshake:
    """A connection during its TLS handshake, which may take `header_timeout` seconds."""

    def __init__(self, listener: Listener, caller: socket.socket, tls: ssl.SSLContext) -> None:
        self._listener = listener
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.connections.add(self)
        self._task = listener.loop.create_task(self._shake(caller, tls))

    def close_if_idle(self) -> None:
        self._task.cancel()

    retire = abort = close_if_idle

    async def _shake(self, caller: socket.socket, tls: ssl.SSLContext) -> None:
        limits = self._listener.limits
        try:
            with contextlib.suppress(OSError, TimeoutError):  # a caller that does not do its part
                await self._listener.loop.connect_accepted_socket(
                    self._made,
                    caller,
                    ssl=tls,
                    ssl_handshake_timeout=limits.header_timeout,
                    # The last of a reply may be read as slowly as the rest of it.
                    ssl_shutdown_timeout=limits.write_timeout,
                )
        finally:
            self._listener.connections.discard(self)
            self._listener.departed()

    def _made(self) -> HttpProtocol:
        return _Shaken(self._listener, self)


class _Shaken(HttpProtocol):
    """Replaces its handshake among the connections, so that both count as one."""

    def __init__(self, listener: Listener, handshake: Handshake) -> None:
        super().__init__(listener)
        self._handshake = handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once the handshake is over."""
        self.listener.connections.discard(self._handshake)
        super().connection_made(transport)
