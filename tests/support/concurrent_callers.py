"""Many callers at once, on kept connections: whole replies, cheaply read, in one event loop."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answered:
    """A reply, and the seconds it took. `head` is everything before the body."""

    status: int
    head: bytes
    body: bytes
    seconds: float


class Line:
    """One connection, opened when it is needed and again when it was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, raw: bytes) -> Answered:
        """Sends one request, whole, and reads its reply."""
        return await self.ask_in_parts(raw, b"", None)

    async def ask_in_parts(
        self, raw: bytes, rest: bytes, between: Callable[[], Awaitable[object]] | None
    ) -> Answered:
        """Sends a request, its `rest` only once `between` is over, and reads its reply."""
        started = time.monotonic()
        reader, writer = self._streams or await self._connect()
        writer.write(raw)
        if between is not None:
            await between()
            writer.write(rest)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        body = await reader.readexactly(int(length[1])) if length and raw[:5] != b"HEAD " else b""
        if b"\r\nconnection: close" in head.lower():
            self.leave()
        return Answered(int(head[9:12]), head, body, time.monotonic() - started)

    async def send_and_leave(self, raw: bytes) -> None:
        """Sends a request and is gone."""
        _, writer = self._streams or await self._connect()
        writer.write(raw)
        await asyncio.sleep(0)
        writer.transport.abort()
        self._streams = None

    def leave(self) -> None:
        """Closes."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams


async def ask_all(port: int, raws: Iterable[bytes], connections: int) -> list[Answered]:
    """All of these requests, over so many connections at once."""
    left = deque(raws)
    answered: list[Answered] = []

    async def work() -> None:
        line = Line(port)
        while left:
            answered.append(await line.ask(left.popleft()))
        line.leave()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(work())
    return answered


async def keep_asking(
    port: int, raw: bytes, until: Callable[[], Awaitable[object]]
) -> list[Answered]:
    """The same request over and over, from two connections, while `until` runs; every reply."""
    answered: list[Answered] = []

    async def work() -> None:
        line = Line(port)
        try:
            while True:
                answered.append(await line.ask(raw))
        finally:
            line.leave()

    asking = [asyncio.ensure_future(work()) for _ in range(2)]
    try:
        await until()
    finally:
        for task in asking:
            task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
    return answered
