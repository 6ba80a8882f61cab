"""An issuer's keys that lie elsewhere: kept fresh, asked for early by an unknown `kid`.

Law: one loop fetches, nobody else; a failed fetch takes nothing away for `jwks_max_stale` seconds;
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
COOL_DOWN: Final = 10.0  # seconds between the starts of two fetches that requests ask for
ABSENT_FOR: Final = 30.0  # seconds for which a `kid` that a fetch did not bring causes no other
SHORTEST_REFRESH: Final = 30.0  # however short the issuer's `max-age`
_FIRST_RETRY: Final = 5.0  # after a failed fetch; doubles up to the refresh interval
_MOST_ABSENT: Final = 1024


class Fetched(NamedTuple):
    """Keys, and the seconds for which they are fresh; None if their issuer did not say."""

    keys: KeySet
    max_age: float | None = None


Fetch = Callable[[], Awaitable[Fetched]]
Clock = Callable[[], float]


class RemoteKeys:
    """A key set that `run` keeps up to date. `fetch` raises `KeySetError` for whatever goes wrong.

    `clock` is monotonic, in seconds. `current` is replaced only by a set that differs from it.
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
        self._stale_at = -inf  # when `current` is too old to be believed
        self._due = -inf  # when the next one begins by itself
        self._failures = 0
        self._fetching = False
        self._absent: dict[str, float] = {}
        self._asked = asyncio.Event()
        self._fetched = asyncio.Event()

    def adopt(self, other: "RemoteKeys") -> None:
        """Goes on from what `other` knows, so that a reload during an outage loses no key.

        What is under way there begins anew here, and wakes those who wait for it there. So does
        the read of a secret: a reload reads stores at once, also tenants' keys.
        """
        self.current, self.tried, self.healthy = other.current, other.tried, other.healthy
        self._stale_at = other._stale_at  # noqa: SLF001 - our own kind
        if other._fetching:  # noqa: SLF001
            self._fetched = other._fetched  # noqa: SLF001
            return
        self._started = other._started  # noqa: SLF001
        if self.settings.secret is None:
            self._due = other._due  # noqa: SLF001

    def wanted(self, key_id: str | None) -> bool:
        """True if a fetch is under way, or may be asked for, that could bring this key."""
        now = self._clock()
        if key_id is not None and self._absent.get(key_id, -inf) > now:
            return False
        return self._fetching or now - self._started >= COOL_DOWN

    async def wait(self, key_id: str | None) -> None:
        """Asks for a fetch and waits for its end, whatever it brings; at most `PATIENCE`."""
        if not self.wanted(key_id):
            return
        fetched = self._fetched
        self._asked.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await fetched.wait()
                self._note_absence(key_id)

    async def run(self) -> None:
        """Fetches when due or asked, until cancelled."""
        while True:
            await self._rest()
            await self.refresh()

    async def refresh(self) -> None:
        """One fetch. Its outcome is kept and emitted, never raised.

        Cancelled, it wakes nobody: those who wait do so for the fetch of the next version.
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

    async def _rest(self) -> None:
        """Until the next fetch is due, the keys become too old, or somebody asks."""
        due = min(self._due, self._stale_at) if self.current else self._due
        delay = due - self._clock()
        if delay > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), delay)

    async def _fetch_reason(self) -> str:
        """Fetches and keeps what came; why that failed, or nothing."""
        try:
            fetched = await self._fetch()
        except KeySetError as error:
            self._fail()
            return str(error)
        except Exception:  # noqa: BLE001 - whatever an issuer sends, the loop goes on
            self._fail()
            return "unexpected"
        self._succeed(fetched.keys, fetched.max_age)
        return ""

    def _succeed(self, keys: KeySet, max_age: float | None) -> None:
        # An equal set keeps its identity, and with it the verdicts on tokens that it verified.
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
        """Remembers that a good fetch did not bring that key: the next one need not hurry."""
        if key_id is None or not self.healthy or key_id in self.current:
            return
        if len(self._absent) >= _MOST_ABSENT:
            del self._absent[next(iter(self._absent))]
        self._absent[key_id] = self._clock() + ABSENT_FOR


def _jittered(seconds: float) -> float:
    """Up to a tenth less, so that replicas do not ask at the same moment."""
    return seconds * random.uniform(0.9, 1.0)  # noqa: S311 - no secret
