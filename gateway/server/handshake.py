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

from gateway.errors import CallerError
from gateway.network.server_tls import WATCHER
from gateway.server.listener import READ_BLOCK, Listener
from gateway.server.protocol import HttpProtocol
from gateway.server.reply import refusal
from gateway.server.sockets import unmapped
from gateway.server.tls_failures import why

_ACCEPTS_PER_TURN: Final = 16
_NO_MORE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_LINGER: Final = 2.0  # seconds for a caller to read why its handshake failed
_CLOSE_TO: Final = 0.05  # seconds; timers fire a little early
_PLAIN: Final = CallerError("bad_request", "This port speaks TLS: use https:// for it.")
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
        # This alone bounds what one read brings: the event loop's TLS has a buffer of 256 KiB.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BLOCK)
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
                caller, address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_MORE:
                    self._listener.loop.remove_reader(self._sock)
                    self._resuming = self._listener.loop.call_later(_PAUSE, self._resume)
                    return
                continue  # that one caller has gone again
            peer = unmapped(address[0])
            if self._listener.admits(peer):
                Handshake(self._listener, caller, self._tls, peer)
            else:
                caller.close()


class Handshake:
    """A connection during its TLS handshake, which may take `header_timeout` seconds.

    One that fails ends with an alert (RFC 8446 6.2); plain HTTP is answered 400.
    """

    def __init__(
        self, listener: Listener, caller: socket.socket, tls: ssl.SSLContext, peer: str
    ) -> None:
        self._listener = listener
        self._peer = peer
        self._rest: socket.socket | None = None  # what is left of the connection for the alert
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.connections.add(self, peer)
        self._task = listener.loop.create_task(self._shake(caller, tls))
        self._task.add_done_callback(self._gone)

    def close_if_idle(self) -> None:
        """A caller that has just connected is about to send: it has a moment for both."""
        self._listener.loop.call_later(self._listener.first_byte_seconds(), self._task.cancel)

    def retire(self) -> None:
        self._task.cancel()

    abort = retire

    async def _shake(self, caller: socket.socket, tls: ssl.SSLContext) -> None:
        loop = self._listener.loop
        deadline = loop.time() + self._listener.limits.header_timeout
        if await self._begins(caller, deadline):
            waited = await self._turn(caller)
            await self._finish(caller, tls, deadline + waited)
        if self._rest is not None:
            await self._linger(self._rest)

    def _gone(self, _: asyncio.Task[None]) -> None:
        if self._rest is not None:
            self._rest.close()
        self._listener.connections.discard(self)
        self._listener.departed()

    async def _begins(self, caller: socket.socket, deadline: float) -> bool:
        """Whether TLS begins in time. Who says nothing at all has failed in nothing."""
        begins = False
        try:
            async with asyncio.timeout_at(deadline):
                await _readable(caller)
            first = caller.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            begins = bool(first) and not first.isalpha()
            if first.isalpha():
                self._listener.tls_failures.add(self._peer, "http_request")
                self._send_last(
                    caller, refusal(_PLAIN, self._listener.new_request_id(), bodiless=False)
                )
        except (OSError, TimeoutError):
            pass
        finally:
            if not begins:
                caller.close()
        return begins

    async def _turn(self, caller: socket.socket) -> float:
        """Waits for it, and returns how many seconds: this one costs as much as several requests.

        So that a flood of handshakes does not stand in front of others' requests, or handshakes.
        """
        loop, turns = self._listener.loop, self._listener.handshakes
        if turns.begin():
            return 0.0
        began = loop.time()
        try:
            await turns.turn_of(self._peer)
        except BaseException:
            caller.close()
            raise
        return loop.time() - began

    async def _finish(self, caller: socket.socket, tls: ssl.SSLContext, deadline: float) -> None:
        loop = self._listener.loop

        def failed(error: ssl.SSLError, alert: bytes) -> None:
            detail = getattr(error, "verify_message", error.reason or "")
            self._listener.tls_failures.add(self._peer, why(error), detail)
            self._send_last(caller, alert)

        WATCHER.set(failed)
        try:
            await loop.connect_accepted_socket(
                self._made,
                caller,
                ssl=tls,
                ssl_handshake_timeout=max(deadline - loop.time(), 0.001),
                # The last of a reply may be read as slowly as the rest of it.
                ssl_shutdown_timeout=self._listener.limits.write_timeout,
            )
        except ssl.SSLError:
            pass  # told by then
        except (OSError, TimeoutError):  # a caller that does not do its part
            late = loop.time() >= deadline - _CLOSE_TO
            self._listener.tls_failures.add(self._peer, "timeout" if late else "closed")

    def _send_last(self, caller: socket.socket, data: bytes) -> None:
        """Sends what is to be the last. The connection lives on in a copy, whoever closes it."""
        with contextlib.suppress(OSError):  # the caller is gone, or there is no descriptor left
            caller.send(data, socket.MSG_DONTWAIT)
            self._rest = caller.dup()
            self._rest.setblocking(False)
            self._rest.shutdown(socket.SHUT_WR)

    async def _linger(self, rest: socket.socket) -> None:
        """Reads and discards for a moment: closed with bytes unread, it would be reset instead.

        A reset may take the alert away from a caller that is still sending (RFC 9112 9.6).
        """
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER):
                while await self._listener.loop.sock_recv(rest, 65536):
                    pass

    def _made(self) -> HttpProtocol:
        return HttpProtocol(self._listener, self)


async def _readable(sock: socket.socket) -> None:
    """Waits for the first byte, or the end."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(sock, arrived.set)
    try:
        await arrived.wait()
    finally:
        loop.remove_reader(sock)
