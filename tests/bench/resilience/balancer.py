"""A small TCP balancer: new connections go in turn to the instances that are ready.

Rule: knows no HTTP but for asking `/readyz`; a connection stays where it is, to its end.
"""

import asyncio
import contextlib
from typing import Final, cast

from tests.bench.resilience.client import Caller, LostError, request

_ASK_EVERY: Final = 0.1


class Target:
    """An instance: where it serves callers, and where it tells whether it is ready."""

    def __init__(self, port: int, admin_port: int) -> None:
        self.port = port
        self.ready = True
        self._admin_port = admin_port

    async def watch(self) -> None:
        """Asks for readiness, for ever."""
        while True:
            admin = Caller(lambda: ("127.0.0.1", self._admin_port))
            try:
                reply = await admin.ask(request("GET", "/readyz", {}), 2.0)
                self.ready = reply.status == 200
            except LostError:
                self.ready = False
            admin.leave()
            await asyncio.sleep(_ASK_EVERY)


class Balancer:
    """Listens on a free port of 127.0.0.1 until left."""

    def __init__(self, targets: list[Target]) -> None:
        self.targets = targets
        self._turn = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        """Starts to listen and to ask."""
        loop = asyncio.get_running_loop()
        self._watches = [loop.create_task(target.watch()) for target in self.targets]
        self._server = await loop.create_server(lambda: _Front(self), "127.0.0.1", 0, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Ends both."""
        self._server.close()
        for task in [*self._watches, *self._tasks]:
            task.cancel()
        await asyncio.gather(*self._watches, *self._tasks, return_exceptions=True)

    def spawn(self, front: "_Front") -> None:
        """Has a new connection joined to an instance."""
        task = asyncio.get_running_loop().create_task(self._join(front))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, front: "_Front") -> None:
        loop = asyncio.get_running_loop()
        for port in self._order():
            with contextlib.suppress(OSError):
                _, back = await loop.create_connection(lambda: _Pipe(front), "127.0.0.1", port)
                front.join(back)
                return
        front.transport.abort()

    def _order(self) -> list[int]:
        """The ready ones in turn, then the others: one may be back sooner than it is asked."""
        self._turn += 1
        turned = [*self.targets[self._turn % len(self.targets) :], *self.targets]
        ordered = sorted(dict.fromkeys(turned), key=lambda target: not target.ready)
        return [target.port for target in ordered]


class _Pipe(asyncio.Protocol):
    """Bytes of one side go to the other; so does its end."""

    def __init__(self, other: "_Pipe | None" = None) -> None:
        self._other = other
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._other is not None:
            self._other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self._other is None or self._other.ended or self._other.transport.is_closing():
            return False
        with contextlib.suppress(OSError, RuntimeError):
            self._other.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is None or self._other.transport.is_closing():
            return
        if exc is None:
            self._other.transport.close()
        else:
            self._other.transport.abort()


class _Front(_Pipe):
    """The caller's side; what it sends before the instance is found waits."""

    def __init__(self, balancer: Balancer) -> None:
        super().__init__()
        self._balancer = balancer
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._balancer.spawn(self)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early += data
        else:
            super().data_received(data)

    def join(self, back: _Pipe) -> None:
        """The instance is found."""
        if self.transport.is_closing():
            back.transport.abort()
            return
        self._other = back
        back.transport.write(self._early)
