"""One reply as it arrives: first its head, then its body, as fast as the reader takes it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Protocol

from gateway.upstream.reply_parser import ReplyParser

HIGH_WATER: Final = 128 * 1024  # bytes of body held before the upstream has to wait


class ReplySource(Protocol):
    """What a reply needs of its connection."""

    def reading(self) -> None:
        """The reader waits: the read timeout runs from now."""

    def resume(self) -> None:
        """The reader has taken what was held: reading may go on."""

    def abort(self) -> None:
        """The reader does not want the rest."""


class ReplyStream:
    """A reply. `source` is None once the connection is done with it, whether well or not.

    One reader at a time. Iterating raises UpstreamError where the body breaks off; `aclose` must
    be called in the end. A cancelled wait closes the connection.
    """

    def __init__(
        self, source: ReplySource, parser: ReplyParser, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.source: ReplySource | None = source
        self.parser = parser
        self.upload: asyncio.Task[None] | None = None
        self.error: BaseException | None = None
        self.paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._loop = loop  # before Python 3.12 it is a system call to ask which one is running

    @property
    def ready(self) -> bytes | None:
        """The whole body if it is already here, else None. Only before any iteration."""
        if self.parser.complete and self.error is None:
            return self.parser.peek()
        return None

    @property
    def waiting(self) -> bool:
        """Whether the reader waits for something that has not come yet."""
        return self._waiter is not None and not self._waiter.done()

    async def head(self) -> None:
        """Waits until `parser` has the final status and headers. Raises the error that ended it.

        Also with a reply that broke off right after its head: nothing of it has been passed on, so
        its caller can still get an error. Whoever cancels this wait must close the reply.
        """
        while not self.parser.status:
            if self.error is not None:
                raise self.error
            await self.next_bytes()
        if self.error is not None and not self.parser.buffered:
            raise self.error

    def incomplete_head(self) -> bool:
        """Whether `head` would wait."""
        return not self.parser.status and self.error is None

    def next_bytes(self) -> asyncio.Future[None]:
        """Done once something has come, or the reply has broken off."""
        self._waiter = self._loop.create_future()
        return self._waiter

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The body bytes that have come, as one piece; never empty."""
        parser = self.parser
        while not parser.buffered:
            if self.error is not None:
                raise self.error
            if parser.complete:
                raise StopAsyncIteration
            if self.source is not None:
                self.source.reading()
            await self._wait()
        data = parser.take()
        if self.paused and self.source is not None:
            self.source.resume()
        return data

    async def aclose(self) -> None:
        """Gives up the rest of the reply, if any: then the connection is closed, not reused.

        Once it returns, nothing reads the request's body any more.
        """
        if self.source is not None:
            self.source.abort()
        upload = self.upload
        if upload is not None and not upload.done():
            upload.cancel()
            await asyncio.wait((upload,))

    def fail(self, error: BaseException) -> None:
        """The reply breaks off here; what has come before it is still delivered."""
        self.error = error
        self.wake()

    def wake(self) -> None:
        """Something has come."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        failure: BaseException
        try:
            await self._waiter
        except BaseException as error:  # noqa: BLE001 - raised again below
            failure = error
        else:
            return
        await self.aclose()
        raise failure
