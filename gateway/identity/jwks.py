"""An issuer's remote keys: refreshed in the background, and early for an unknown `kid`.

Rule: only the loop fetches; after a failed fetch the keys stay valid for `jwks_max_stale` seconds;
no request waits longer than `PATIENCE`; requests cause at most one fetch per `COOL_DOWN`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from math import inf
from typing import Final, NamedTuple

from gateway.events import Emit, JwksRefreshed
from gateway.identity.keys import KeySet, KeySetError
from gateway.settings.callers import Issuer

PATIENCE: Final = 2.0  # seconds a request waits for a fetch under way
COOL_DOWN: Final = 10.0  # seconds between the starts of two fetches that requests caused
ABSENT_FOR: Final = 30.0  # seconds without another fetch for a `kid` that a fetch did not bring
SHORTEST_REFRESH: Final = 30.0  # seconds, however short the issuer's `max-age` is
_FIRST_RETRY: Final = 5.0  # after a failed fetch; doubles up to the refresh interval
_MOST_ABSENT: Final = 1024


class Fetched(NamedTuple):
    """Keys, and for how many seconds they are fresh; None if the issuer does not say."""

    keys: KeySet
    max_age: float | None = None


Fetch = Callable[[], Awaitable[Fetched]]
Clock = Callable[[], float]


class RemoteKeys:
    """A key set that `run` keeps up to date. `fetch` raises `KeySetError` if it fails.

    `clock` is monotonic, in seconds. `current` is replaced only by a set with other keys.
    """

    def __init__(self, settings: Issuer, fetch: Fetch, emit: Emit, clock: Clock) -> None:
        self.settings: Final = settings
        self.current = KeySet(())
        self.tried = False
        self.healthy = False
        self._fetch = fetch
        self._emit = emit
        self._clock = clock
        self._started = -inf  # when the latest fetch began
        self._stale_at = -inf  # when `current` is too old to be used
        self._due = -inf  # when the next scheduled fetch begins
        self._failures = 0
        self._fetching = False
        self._absent: dict[str, float] = {}
        self._asked = asyncio.Event()
        self._fetched = asyncio.Event()

    def adopt(self, other: "RemoteKeys") -> None:
        """Takes over the state of `other`, so that a reload during an outage loses no key.

        A fetch under way there is started again here, and wakes requests that wait for it there.
        A secret is read again at once: a reload reads all stores, also for tenants' keys.
        """
        self.current, self.tried, self.healthy = other.current, other.tried, other.healthy
        self._stale_at = other._stale_at  # noqa: SLF001 - our own kind
        if other._fetching:  # noqa: SLF001
            self._fetched = other._fetched  # noqa: SLF001
            return
        self._started = other._started  # noqa: SLF001
        if self.settings.secret is None:
            self._due = other._due  # noqa: SLF001

    def may_fetch(self, key_id: str | None) -> bool:
        """True if a fetch is under way, or allowed now, that could bring this key."""
        now = self._clock()
        if key_id is not None and self._absent.get(key_id, -inf) > now:
            return False
        return self._fetching or now - self._started >= COOL_DOWN

    async def wait(self, key_id: str | None) -> None:
        """Requests a fetch and waits for its end, whatever it brings; at most `PATIENCE`."""
        if not self.may_fetch(key_id):
            return
        fetched = self._fetched
        self._asked.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await fetched.wait()
                self._note_absence(key_id)

    async def run(self) -> None:
        """Fetches when due or requested, until cancelled."""
        while True:
            await self._wait_until_due()
            await self.refresh()

    async def refresh(self) -> None:
        """Fetches once. The outcome is stored and emitted, never raised.

        If cancelled it wakes nobody: requests go on waiting, for the fetch of the next version.
        """
        self._fetching, self._started = True, self._clock()
        try:
            reason = await self._fetch_reason()
        finally:
            self._fetching = False
        self.tried, self.healthy = True, not reason
        self._asked.clear()
        self._fetched.set()
        self._fetched = asyncio.Event()
        self._emit(JwksRefreshed(self.settings.issuer, "failure" if reason else "success", reason))

    async def _wait_until_due(self) -> None:
        """Returns when a fetch is due, the keys become too old, or a request needs a fetch."""
        due = min(self._due, self._stale_at) if self.current else self._due
        delay = due - self._clock()
        if delay > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), delay)

    async def _fetch_reason(self) -> str:
        """Fetches and stores the keys; returns why that failed, or ""."""
        try:
            fetched = await self._fetch()
        except KeySetError as error:
            self._fail()
            return str(error)
        except Exception as error:  # noqa: BLE001 - whatever an issuer sends, the loop goes on
            self._fail()
            # Its text may quote the document, or a secret: the type must do.
            return f"unexpected: {type(error).__name__}"
        self._succeed(fetched.keys, fetched.max_age)
        return ""

    def _succeed(self, keys: KeySet, max_age: float | None) -> None:
        # Equal contents keep the same object, so that cached tokens stay valid.
        if keys.contents != self.current.contents:
            self.current = keys
            self._absent.clear()
        longest = self.settings.jwks_refresh
        wait = longest if max_age is None else min(max(max_age, SHORTEST_REFRESH), longest)
        self._failures = 0
        self._due = self._clock() + _jittered(wait)
        self._stale_at = self._due + self.settings.jwks_max_stale

    def _fail(self) -> None:
        now = self._clock()
        if now >= self._stale_at:
            self.current = KeySet(())
        wait = min(_FIRST_RETRY * 2 ** min(self._failures, 16), self.settings.jwks_refresh)
        self._failures += 1
        self._due = now + _jittered(wait)

    def _note_absence(self, key_id: str | None) -> None:
        """Remembers that a successful fetch did not bring that key."""
        if key_id is None or not self.healthy or key_id in self.current:
            return
        if len(self._absent) >= _MOST_ABSENT:
            del self._absent[next(iter(self._absent))]
        self._absent[key_id] = self._clock() + ABSENT_FOR


def _jittered(seconds: float) -> float:
    """Up to a tenth less, so that replicas do not fetch at the same moment."""
    return seconds * random.uniform(0.9, 1.0)  # noqa: S311 - no secret
