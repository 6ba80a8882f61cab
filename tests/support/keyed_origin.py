"""An origin that takes some keys and no others, and callers that ask at a given rate.

Both are bare protocols: they share a core with the gateway that they keep busy.
"""

import asyncio
import re
import ssl
import time
from collections import Counter
from typing import Any, Self

_KEY = re.compile(rb"\r\nauthorization: Bearer ([^\r]*)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_NO = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
_TICK = 0.005


class KeyedOrigin:
    """Answers 200 to the accepted keys, 401 to all others; counts what it was shown, and when.

    `accepted` None takes every key. `last` is when each key was shown last, monotonic seconds.
    """

    def __init__(self, context: ssl.SSLContext, accepted: set[str] | None) -> None:
        self.accepted = accepted
        self.shown: Counter[str] = Counter()
        self.last: dict[str, float] = {}
        self._context = context
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Served(self), "127.0.0.1", 0, ssl=self._context
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def answer(self, head: bytes) -> bytes:
        """The reply to one request without a body."""
        key = b"|".join(_KEY.findall(head)).decode("latin-1")
        self.shown[key] += 1
        self.last[key] = time.monotonic()
        return _OK if self.accepted is None or key in self.accepted else _NO


class _Served(asyncio.Protocol):
    def __init__(self, origin: KeyedOrigin) -> None:
        self._origin = origin
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._received = (self._received + data).split(b"\r\n\r\n")
        for head in heads:
            self._transport.write(self._origin.answer(head + b"\r\n"))


class Callers:
    """Connections that together ask `rate` times a second, as far as replies come fast enough.

    `statuses` counts the replies; `lost` the connections that ended.
    """

    def __init__(self, port: int, token: str, rate: float = 1000.0, count: int = 32) -> None:
        self.statuses: Counter[int] = Counter()
        self.lost = 0
        self.request = (
            f"GET /silo/v1/entries HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {token}\r\n\r\n"
        ).encode()
        self.idle: list[_Asking] = []
        self._port = port
        self._rate = rate
        self._count = count
        self._connections: list[_Asking] = []
        self._pacing: asyncio.Task[None] | None = None
        self._began = 0.0

    @property
    def reached(self) -> float:
        """Replies a second until now."""
        return self.statuses.total() / (time.monotonic() - self._began)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for _ in range(self._count):
            _, made = await loop.create_connection(lambda: _Asking(self), "127.0.0.1", self._port)
            self._connections.append(made)
        self.idle += self._connections
        self._began = time.monotonic()
        self._pacing = asyncio.ensure_future(self._pace())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._pacing is not None
        self._pacing.cancel()
        await asyncio.wait((self._pacing,))
        deadline = time.monotonic() + 5.0
        while len(self.idle) < self._count - self.lost and time.monotonic() < deadline:
            await asyncio.sleep(_TICK)  # each request that was sent is answered
        for connection in self._connections:
            connection.close()

    async def _pace(self) -> None:
        asked = 0.0
        while True:
            due = (time.monotonic() - self._began) * self._rate
            asked = max(asked, due - self._count)  # what could not be asked is not made up for
            while asked < due and self.idle:
                self.idle.pop().ask()
                asked += 1
            await asyncio.sleep(_TICK)


class _Asking(asyncio.Protocol):
    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._received = b""
        self._closing = False

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self) -> None:
        self._transport.write(self._callers.request)

    def close(self) -> None:
        self._closing = True
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        self._callers.statuses[int(head[9:12])] += 1
        self._callers.idle.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._callers.lost += not self._closing
