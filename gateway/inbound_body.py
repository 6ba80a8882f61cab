"""The body of a caller's request: read once, on demand, never held whole, never past its limit."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from gateway.asgi import Receive
from gateway.errors import CallerError
from gateway.framing import compact
from gateway.model import CALLER_LEFT

REPLAY_LIMIT: Final = 64 * 1024  # bytes of a body that are kept so that it can be sent again


def body_too_large(limit: int) -> CallerError:
    """The answer to a body that is, or says that it is, longer than `limit` bytes."""
    return CallerError("body_too_large", f"A body may have at most {limit} bytes.")


class InboundBody:
    """A request's body as it arrives; it can be iterated again while `replayable`.

    Bytes are counted in `received`. Raises `CallerError`: `body_too_large` past `limit` bytes
    (0 = none), and whatever the server found wrong with its framing or its pace.
    """

    __slots__ = ("_begun", "_kept", "_limit", "_receive", "complete", "received")

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._kept: list[bytes] | None = []
        self._begun = False
        self.complete = False
        self.received = 0

    @property
    def replayable(self) -> bool:
        """Whether all that was read so far is still here, to be sent (again)."""
        return self._kept is not None

    @property
    def ready(self) -> bytes | None:
        """The whole body, where it is complete and may be kept: it needs no iteration."""
        if not self.complete or self._kept is None or self.received > REPLAY_LIMIT:
            return None
        return self._kept[0] if len(self._kept) == 1 else b"".join(self._kept)

    async def prefetch(self) -> None:
        """Waits until the body is complete, or `REPLAY_LIMIT` of it are here.

        So a caller that is slow to send occupies no connection to Invopop meanwhile, and a small
        body can leave together with its head.
        """
        while not self.complete and self.received < REPLAY_LIMIT:
            await self.read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Reading(self, self._take())

    def _take(self) -> list[bytes]:
        """What was read so far; more than `REPLAY_LIMIT` is given out once only."""
        if self._kept is None:
            raise RuntimeError("a body that was not kept cannot be sent again")
        self._begun = True
        taken = self._kept.copy()
        if self.received > REPLAY_LIMIT:
            self._kept = None
        return taken

    async def read(self) -> bytes:
        """The next bytes from the caller; b"" only at the end."""
        while not self.complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError(CALLER_LEFT)
            chunk: bytes = message.get("body", b"")
            self.complete = not message.get("more_body", False)
            if chunk:
                self._count(chunk)
                return chunk
        return b""

    def _count(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self._limit and self.received > self._limit:
            raise body_too_large(self._limit)
        if self._kept is not None:
            if self._begun and self.received > REPLAY_LIMIT:
                self._kept = None
            else:
                self._kept.append(chunk)
                compact(self._kept)


class _Reading:
    """One iteration over a body. A class because mypyc does not compile async generators."""

    __slots__ = ("_body", "_taken")

    def __init__(self, body: InboundBody, taken: list[bytes]) -> None:
        self._body = body
        self._taken = taken
        taken.reverse()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._taken:
            return self._taken.pop()
        chunk = await self._body.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk
