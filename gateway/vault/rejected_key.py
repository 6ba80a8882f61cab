"""Reads a tenant's sources again after Invopop rejected its key.

Law: one re-read per tenant at a time, and a pause after one that brought nothing new.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Final

from gateway.vault.key_ring import NEVER, KeyRing
from gateway.vault.pins import Pins
from gateway.vault.reader import Reader
from gateway.vault.single_flight import SingleFlight

LONGEST: Final = 2.0  # seconds: what a request may wait
COOL_DOWN: Final = 2.0  # seconds after a fruitless re-read


class RejectedKeyReread:
    """The re-reads in progress."""

    def __init__(self, reader: Reader, pins: Pins, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._pins = pins
        self._clock = clock
        self._flights = SingleFlight[None]()

    def begin(self, ring: KeyRing) -> asyncio.Task[None] | None:
        """The ring's re-read, begun now unless it is in progress; None while it cools down."""
        if self._clock() < ring.reread_at:
            return self._flights.underway(ring)
        return self._flights.join(ring, partial(self._read_again, ring))

    async def aclose(self) -> None:
        """Ends the re-reads in progress."""
        await self._flights.aclose()

    async def _read_again(self, ring: KeyRing) -> None:
        before = [slot.key for slot in ring.slots]
        since, ring.reread_at = self._clock(), inf
        try:
            async with asyncio.timeout(LONGEST):
                await self._reader.read_since(ring.slots, since)
                for slot in ring.slots:
                    if slot.candidate is not None:
                        await self._pins.urge(slot, None)
        except TimeoutError:
            pass  # what came in time counts; the reads themselves go on
        finally:
            fruitless = before == [slot.key for slot in ring.slots]
            ring.reread_at = self._clock() + COOL_DOWN if fruitless else NEVER
