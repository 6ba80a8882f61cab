"""A listener with its sockets: opens, logs its address, drains, closes.

asyncio serves the sockets, not uvicorn.Server: its shutdown closes connections on which requests
are in progress, it polls, it exits by re-raising the signal, and it does not limit handshakes.
"""

import asyncio
import select
import socket
import ssl
from typing import Final

from gateway.events import Noticed
from gateway.observe.logs import describe_exception
from gateway.server.handshake import TlsServer
from gateway.server.lifespan import Lifespan
from gateway.server.listener import ConnectionLimits, Listener
from gateway.server.protocol import HttpProtocol
from gateway.server.sockets import Sockets

_BACKLOG: Final = 2048
# libuv accepts one connection per descriptor and turn of the loop. Turns are long under load: by
# one descriptor alone, new callers would wait for seconds behind those that are connected.
_ACCEPTS_PER_TURN: Final = 4
_CUT_SECONDS: Final = 2.0  # for the tasks that were cut to log and count it


class ListenerServer:
    """One of the process's listeners; `name` is for the log."""

    def __init__(self, name: str, listener: Listener, sockets: Sockets) -> None:
        self._name = name
        self._listener = listener
        self._sockets = sockets
        self._lifespan = Lifespan(listener.app)
        self._servers: list[asyncio.Server | TlsServer] = []

    async def open(self) -> None:
        """Starts the app, then listens. Raises what the app raises."""
        await self._lifespan.startup()
        self._listener.state = self._lifespan.state
        for sock in self._sockets.bound * _ACCEPTS_PER_TURN:
            self._servers.append(await self._serve(sock))
        for address in self._sockets.missing:
            fields = {"listener": self._name, "address": address}
            self._listener.emit(Noticed("address_unavailable", "warning", fields))
        self._listener.emit(
            Noticed("listening", "info", {"listener": self._name, "url": self._sockets.url()})
        )

    def limit(self, limits: ConnectionLimits) -> None:
        """Sets other limits for connections and requests that arrive from now on."""
        self._listener.limits = limits

    async def renew(self, tls: ssl.SSLContext, *, retire: bool) -> None:
        """Uses another certificate for new connections, without losing any.

        Open ones go on; with `retire` they take no further request.
        """
        if self._listener.draining:
            return
        old, self._servers, self._sockets.tls = self._servers, [], tls
        for sock in self._sockets.bound * _ACCEPTS_PER_TURN:
            self._servers.append(await self._serve(sock))
        for server in old:
            server.close()
        if retire:
            self._listener.retire()

    def announce_close(self) -> None:
        """From now on every reply says `Connection: close`; connections are still taken."""
        self._listener.draining = True

    async def drain(self, seconds: float) -> int:
        """Accepts no more connections, finishes requests for that long, then cuts the rest.

        Returns how many requests were cut.
        """
        cut = 0
        await self._accept_rest()
        self._close_servers()
        self._listener.stop()
        if not await self._listener.vacated(seconds):
            cut = len(self._listener.running)
            self._listener.cut()
            await self._listener.vacated(_CUT_SECONDS)
        try:
            await self._lifespan.shutdown()
        except Exception as error:  # noqa: BLE001 - the process ends in good order all the same
            self._listener.emit(Noticed("background_failure", "error", describe_exception(error)))
        return cut

    def abort(self) -> None:
        """Cuts everything at once."""
        self._close_servers()
        self._listener.cut()

    async def _serve(self, sock: socket.socket) -> asyncio.Server | TlsServer:
        loop = asyncio.get_running_loop()
        sock = sock.dup()  # one queue, so that what `renew` closes takes no connection with it
        if sock.family == socket.AF_UNIX:
            return await loop.create_unix_server(self._connection, sock=sock, backlog=_BACKLOG)
        if self._sockets.tls is not None:
            return TlsServer(self._listener, sock, self._sockets.tls, _BACKLOG)
        return await loop.create_server(self._connection, sock=sock, backlog=_BACKLOG)

    async def _accept_rest(self) -> None:
        """Accepts what is in the queue: callers regard it as open, and closing would reset it."""
        waiting = select.poll()
        for sock in self._sockets.bound:
            waiting.register(sock, select.POLLIN)
        for _ in range(_BACKLOG):
            if not waiting.poll(0):
                break
            await asyncio.sleep(0)

    def _connection(self) -> HttpProtocol:
        return HttpProtocol(self._listener)

    def _close_servers(self) -> None:
        for server in self._servers:
            server.close()
        self._sockets.close()
