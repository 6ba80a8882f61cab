"""A caller for loads: one kept connection, raw requests out, replies read by llhttp.

Rule: sends nothing twice by itself; a connection that is known to be closed is replaced first.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple, cast

import httptools

Address = tuple[str, int]
PATIENCE: Final = 30.0


class Reply(NamedTuple):
    """A whole reply; header names are lower-case."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes


class LostError(Exception):
    """No whole reply: the connection was "refused", was "cut", or nothing came ("silent")."""

    def __init__(self, kind: str, *, begun: bool = False) -> None:
        super().__init__(kind)
        self.kind = kind
        self.begun = begun


class _Line(asyncio.Protocol):
    """One connection, and the reply that it is reading."""

    def __init__(self) -> None:
        self.closed = False
        self._waiter: asyncio.Future[Reply] | None = None

    def ask(self, raw: bytes) -> "asyncio.Future[Reply]":
        """Sends a request; its reply."""
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self.begun = False
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(raw)
        return self._waiter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("garbled")

    def eof_received(self) -> None:
        self.closed = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._fail("cut")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            status = self._parser.get_status_code()
            self._waiter.set_result(Reply(status, self._headers, b"".join(self._body)))

    def _fail(self, kind: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(LostError(kind, begun=self.begun))


class Caller:
    """Asks whatever `where` names at the moment a connection is made."""

    def __init__(self, where: Callable[[], Address]) -> None:
        self._where = where
        self._line: _Line | None = None
        self.connected_to: Address | None = None

    async def ask(self, raw: bytes, patience: float = PATIENCE) -> Reply:
        """The reply to a request. Raises LostError."""
        line = await self._connected()
        waiter = line.ask(raw)
        try:
            async with asyncio.timeout(patience):
                reply = await waiter
        except TimeoutError:
            self.leave()
            raise LostError("silent", begun=line.begun) from None
        except BaseException:
            self.leave()
            raise
        if reply.headers.get(b"connection") == b"close":
            self.leave()
        return reply

    async def start(self, raw: bytes) -> None:
        """Sends a request without waiting for its reply: for callers that leave."""
        (await self._connected()).ask(raw).add_done_callback(_seen)

    def leave(self) -> None:
        """Closes the connection, whatever is under way."""
        if self._line is not None:
            self._line.transport.abort()
            self._line = None

    async def _connected(self) -> _Line:
        if self._line is not None and not self._line.closed:
            return self._line
        self.leave()
        loop = asyncio.get_running_loop()
        self.connected_to = self._where()
        try:
            _, self._line = await loop.create_connection(_Line, *self.connected_to)
        except OSError:
            raise LostError("refused") from None
        return self._line


class Tally:
    """What became of requests: counts by outcome, and how long the answered ones took."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.seconds: list[float] = []

    def add(self, outcome: str, since: float | None = None) -> None:
        """Counts one; `since` (monotonic) times it."""
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        if since is not None:
            self.seconds.append(time.monotonic() - since)

    @property
    def total(self) -> int:
        """All that were counted."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float:
        """Seconds within which that share was answered; 0 if nothing was timed."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _seen(waiter: "asyncio.Future[Reply]") -> None:
    if not waiter.cancelled():
        waiter.exception()


def request(method: str, target: str, fields: dict[str, str], body: bytes = b"") -> bytes:
    """A request's bytes; a body is sized."""
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    if body or method in {"POST", "PUT", "PATCH"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
