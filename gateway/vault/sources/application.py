"""An application's calls to Invopop for keys: its secret, their rate, and the pause when all fail.

Rule: what fails for the whole application is tried by one call at a time, ever more seldom; what
fails for one tenant holds up no other.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import orjson

from gateway.errors import GatewayError, UpstreamError
from gateway.secret import Secret
from gateway.settings.stores import Invopop
from gateway.vault.sources.key_check import check_secret
from gateway.vault.sources.source import DENIED, UNAVAILABLE, Connections, SourceError

TIMEOUT: Final = 8.0  # seconds for one call
PATH: Final = "POST /access/v1/enrollment/authorize"
FIRST_PAUSE: Final = 0.5  # seconds; then twice as long each time
# Invopop may be back at any moment, and keys end; a refused secret waits for somebody to change it.
LONGEST_PAUSE: Final = {UNAVAILABLE: 2.0, DENIED: 60.0}
LONGEST_ASKED: Final = 60.0  # seconds of a `Retry-After` that is followed
REFUSED: Final = frozenset({401, 403})
CATCH_UP: Final = 0.02  # seconds whose calls are made at once after the event loop was busy


class Pause:
    """Whether Invopop may be asked. Decides; does no I/O. Times are monotonic seconds.

    No single tenant can cause a pause with its own troubles: that takes the failures of two in
    turn, or one that is certainly not a tenant's.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failed: set[str] = set()
        self._error: SourceError | None = None
        self._until = 0.0
        self._length = 0.0

    def check(self) -> None:
        """Lets one call through at the end of each pause, all while there is none.

        Raises what the pause is for.
        """
        if self._error is None:
            return
        now = self._clock()
        if now < self._until:
            raise SourceError(
                self._error.outcome,
                self._error.reason,
                retry_after=self._until - now,
                reported=True,
            )
        self._until = now + self._length  # until this one call has ended, nobody else asks

    @property
    def left(self) -> float:
        """Seconds until a call may be made."""
        return 0.0 if self._error is None else max(0.0, self._until - self._clock())

    def succeeded(self) -> None:
        """Invopop accepted the application, whatever it said of a tenant."""
        self._failed.clear()
        self._error = None
        self._length = 0.0

    def failed(
        self, asked: str, error: SourceError, *, certain: bool, asks: float = 0.0
    ) -> SourceError:
        """What to raise for a failure; `certain` if no tenant can have caused it.

        `asks` are the seconds that Invopop asks to wait, 0.0 if it does not.
        """
        self._failed.add(asked)
        if not certain and len(self._failed) < 2 and self._error is None:
            return error
        longest = LONGEST_PAUSE[error.outcome]
        self._length = max(min(longest, max(FIRST_PAUSE, 2 * self._length)), asks)
        self._until = self._clock() + self._length * random.uniform(0.8, 1.0)  # noqa: S311
        self._error = error
        self._failed = {asked}
        error.retry_after = self._length
        return error


class ApplicationCalls:
    """The application that `[vault.invopop]` names."""

    def __init__(self, settings: Invopop, connections: Connections) -> None:
        self._settings = settings
        self._authorize = connections.authorize
        self._fetch = connections.fetch
        self._pause = Pause(time.monotonic)
        self._pace = EvenRate(settings.requests_per_second)
        self._ahead = False  # whether the next call has had its turn already
        self._secret: Secret | None = None
        self._changed = asyncio.Event()

    async def authorize(self, wanted: dict[str, str]) -> tuple[int, bytes]:
        """Invopop's answer about one enrollment: 200, or a status that is about that one.

        Raises `SourceError` for whatever concerns the application as a whole, or that fails.
        """
        self._pause.check()
        (asked,) = wanted.values()
        try:
            secret = self._secret or await self._read_secret()
            status, asks, body = await self._post(secret, wanted)
            if status in REFUSED and (newer := await self._read_secret()) != secret:
                status, asks, body = await self._post(newer, wanted)
        except (SourceError, GatewayError, TimeoutError) as failure:
            error, certain = _no_answer(failure)
            raise self._pause.failed(asked, error, certain=certain) from None
        refused = _failure(status)
        if refused is not None:
            raise self._pause.failed(asked, refused, certain=status == 429, asks=asks)
        self._pause.succeeded()
        self._changed.set()
        return status, body

    async def ready(self) -> None:
        """Returns once a call may be made that nobody waits for, which has had its turn then."""
        while left := self._pause.left:
            self._changed.clear()
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                continue
        if not self._ahead:
            await self._pace.turn(hurries=False)
            self._ahead = True

    def reloaded(self) -> None:
        """Forgets the secret, and what failed."""
        self._secret = None
        self._pause.succeeded()
        self._changed.set()

    async def _read_secret(self) -> Secret:
        source = self._settings.client_secret
        if self._fetch is None:
            raise SourceError(UNAVAILABLE, "vault.invopop.client_secret cannot be read here")
        try:
            self._secret = await self._fetch(source)
            check_secret(self._secret)
        except SourceError as error:
            reason = f"vault.invopop.client_secret: {error.reason}"
            raise SourceError(UNAVAILABLE, reason) from None
        return self._secret

    async def _post(self, secret: Secret, wanted: dict[str, str]) -> tuple[int, float, bytes]:
        """Status, seconds to wait, and body of the reply."""
        if self._authorize is None:
            raise SourceError(UNAVAILABLE, "Invopop cannot be asked for keys here")
        if self._ahead:
            self._ahead = False
        else:
            await self._pace.turn(hurries=True)
        credentials = {"client_id": self._settings.client_id, "client_secret": secret.reveal()}
        async with asyncio.timeout(TIMEOUT):
            status, headers, body = await self._authorize(orjson.dumps(credentials | wanted))
        after = next((value for name, value in headers if name == b"retry-after"), b"")
        return status, min(LONGEST_ASKED, float(after)) if after.isdigit() else 0.0, body


def _no_answer(failure: Exception) -> tuple[SourceError, bool]:
    """Why Invopop gave no answer, and whether that is certainly no tenant's own trouble."""
    if isinstance(failure, SourceError):
        return failure, True  # the application's own secret
    if isinstance(failure, GatewayError):
        certain = not (isinstance(failure, UpstreamError) and failure.sent)
        return SourceError(UNAVAILABLE, f"{PATH}: {failure.recorded_cause}"), certain
    return SourceError(UNAVAILABLE, f"{PATH} was not answered in time"), False


def _failure(status: int) -> SourceError | None:
    """What an answer says of the application as a whole, or of Invopop; None if nothing."""
    if status in REFUSED:
        return SourceError(
            DENIED,
            f"Invopop refuses the application's credentials ({status}): "
            "check client_id and client_secret of [vault.invopop]",
        )
    if status == 429 or status >= 500 or not (status == 200 or status >= 400):
        return SourceError(UNAVAILABLE, f"{PATH} answered {status}")
    return None


class EvenRate:
    """A rate in calls a second, spread evenly; 0 for none.

    Of those that wait, the next is by turns one that `hurries` and one that does not.
    """

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate if rate else 0.0
        self._next = 0.0  # loop time
        self._lines = (deque[asyncio.Future[None]](), deque[asyncio.Future[None]]())
        self._last = 0
        self._waking = False

    async def turn(self, *, hurries: bool) -> None:
        """Returns when it is this caller's turn."""
        if not self._interval:
            return
        loop = asyncio.get_running_loop()
        if not self._waking and (now := loop.time()) >= self._next:
            self._next = now + self._interval
            return
        waiter = loop.create_future()
        self._lines[hurries].append(waiter)
        self._wake_later(loop)
        await waiter

    def _wake_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._waking and any(self._lines):
            self._waking = True
            loop.call_at(self._next, self._grant, loop)

    def _grant(self, loop: asyncio.AbstractEventLoop) -> None:
        """Lets go on whose turn has come; after a stall only those of a short time."""
        self._waking = False
        now = loop.time()
        self._next = max(self._next, now - CATCH_UP)
        while self._next <= now and any(self._lines):
            other = 1 - self._last
            self._last = other if self._lines[other] else self._last
            waiter = self._lines[self._last].popleft()
            if not waiter.done():  # else cancelled
                waiter.set_result(None)
                self._next += self._interval
        self._wake_later(loop)
