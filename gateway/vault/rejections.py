"""Invopop answered 401: is the key at fault, and which other key does the tenant have?

Rule: a key is condemned only if Invopop refuses it in answer to `GET /access/v1/workspace`, where
nothing else can be at fault; without an answer it is not condemned.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.errors import GatewayError
from gateway.events import Emit, KeyRejected
from gateway.model import Key
from gateway.secret import Secret
from gateway.vault.background import SingleFlight, wait_until
from gateway.vault.key_ring import KeyRing
from gateway.vault.pins import CheckWorkspace
from gateway.vault.reading import RejectedKeyReread
from gateway.vault.sharing import renamed

PATIENCE: Final = 2.0  # seconds that a request waits for a key to be read again
CHECK_TIMEOUT: Final = 5.0  # seconds that it waits for Invopop's word on a key
REMEMBERED: Final = 10.0  # seconds for which that word holds
UNANSWERED: Final = 1.0  # seconds for which it is not asked for again after it could not be had


class KeyTrials:
    """Whether Invopop rejects a key, asked once at a time for each. `clock` is monotonic."""

    def __init__(self, check: CheckWorkspace, clock: Callable[[], float]) -> None:
        self._check = check
        self._clock = clock
        self._verdicts: dict[Secret, tuple[float, bool]] = {}  # until when, and whether rejected
        self._flights = SingleFlight[bool]()

    async def rejected(self, secret: Secret) -> bool:
        """Whether Invopop rejects this key; false if that cannot be found out."""
        known = self._verdicts.get(secret)
        if known is not None and self._clock() < known[0]:
            return known[1]
        # Shielded: one request that is given up does not end what others wait for.
        return await asyncio.shield(self._flights.join(secret, partial(self._ask, secret)))

    async def aclose(self) -> None:
        """Ends the checks in progress."""
        await self._flights.aclose()

    async def _ask(self, secret: Secret) -> bool:
        rejected, holds = False, REMEMBERED
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                await self._check(secret)
        except GatewayError as error:
            rejected = error.key == "key_rejected"
            holds = REMEMBERED if rejected else UNANSWERED
        except TimeoutError:
            holds = UNANSWERED
        now = self._clock()
        self._verdicts = {key: known for key, known in self._verdicts.items() if now < known[0]}
        self._verdicts[secret] = (now + holds, rejected)
        return rejected


class Rejections:
    """What follows from 401s. `find` gives a tenant's ring."""

    def __init__(
        self,
        find: Callable[[str], KeyRing | None],
        rereads: RejectedKeyReread,
        trials: KeyTrials,
        emit: Emit,
        clock: Callable[[], float],
    ) -> None:
        self._find = find
        self._rereads = rereads
        self._trials = trials
        self._emit = emit
        self._clock = clock
        self._suspects = SingleFlight[bool]()

    async def other_key(self, key: Key) -> Key | None:
        """The tenant's other or newer key after a 401 to this one, or None.

        Its sources are read again first (single flight, with a cool-down, waited for at most 2 s).
        """
        ring = self._find(key.tenant)
        if ring is not None and ring.holders(key):
            deadline = asyncio.get_running_loop().time() + PATIENCE
            await wait_until(self._rereads.begin(ring), deadline)
        return self.alternative(key)

    def alternative(self, key: Key) -> Key | None:
        """The tenant's usable key of another value, as far as is known now."""
        ring = self._find(key.tenant)  # it may be another by now, or gone
        other = ring.alternative(key, self._clock()) if ring is not None else None
        if other is None or other.tenant == key.tenant:
            return other
        return renamed(other, key.tenant)

    async def condemned(self, key: Key) -> bool:
        """Whether Invopop rejects the key itself; the tenant's other key is then used first.

        A shared key is reported, and condemned, as that of the tenant that it belongs to.
        """
        if not await self._trials.rejected(key.secret):
            return False
        ring = self._find(key.tenant)
        owner = ring.slots[0].tenant if ring is not None else key.tenant
        self._emit(KeyRejected(owner, key.slot, key.fingerprint))
        if ring is not None:
            ring.reject(key, self._clock())
        return True

    def suspect(self, key: Key) -> None:
        """Finds out in the background whether this key is `condemned`.

        Not of an issued one, which another has replaced already.
        """
        ring = self._find(key.tenant)
        if ring is not None and ring.slots[0].issued:
            return
        self._suspects.join((key.tenant, key.secret), partial(self.condemned, key))

    async def aclose(self) -> None:
        """Ends what goes on in the background."""
        await self._suspects.aclose()
        await self._trials.aclose()
        await self._rereads.aclose()
