"""Is a key's workspace what its pin says? Asks Invopop, the most urgent key first.

Rule: a pinned key whose pin Invopop has not confirmed is never used, whatever goes wrong.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, NamedTuple

from gateway.errors import GatewayError
from gateway.events import Emit, KeyRefreshed
from gateway.model import Key
from gateway.pin import Pin, WorkspaceFacts
from gateway.secret import Secret
from gateway.vault.background import Schedule, SingleFlight
from gateway.vault.key_ring import MISMATCHES, NEVER, Slot, report_change

INTERVAL: Final = 0.1  # seconds between two checks: at most 10 a second
CHECK_TIMEOUT: Final = 10.0
RETRY_AFTER: Final = 2.0  # seconds until a request may ask again after a check without an answer
RETRY_BACKGROUND: Final = 30.0

CheckWorkspace = Callable[[Secret], Awaitable[WorkspaceFacts]]
"""Asks Invopop for the workspace of a key; raises `GatewayError` if there is no usable answer."""


class _Unchecked(NamedTuple):
    """Why there is no answer about a key's workspace, for operators."""

    detail: str
    defect: bool = False


class Pins:
    """The candidates that wait for a check, and the checks in progress."""

    def __init__(self, check: CheckWorkspace, emit: Emit, clock: Callable[[], float]) -> None:
        self._check = check
        self._emit = emit
        self._clock = clock
        self._schedule = Schedule(clock)
        self._flights = SingleFlight[None]()
        self._ended: dict[Slot, asyncio.Event] = {}

    def want(self, slot: Slot) -> None:
        """Queues a check of the slot's candidate, to run when nothing is more urgent."""
        self._schedule.put(slot, self._clock())

    async def urge(self, slot: Slot, deadline: float | None) -> None:
        """Checks the candidate next, and waits for it, at most until the loop's `deadline`."""
        ended = self._ended.setdefault(slot, asyncio.Event())
        if self._flights.underway(slot) is None:
            self._schedule.put(slot, NEVER)
        try:
            async with asyncio.timeout_at(deadline):
                await ended.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Checks one candidate after the other, for as long as the vault lives."""
        try:
            while True:
                slot = await self._schedule.next()
                if slot.candidate is None:
                    self._wake(slot)
                elif self._flights.underway(slot) is None:
                    check = self._flights.join(slot, partial(self._settle, slot, slot.candidate))
                    # Only once it is no longer under way: a later request then starts a new check.
                    check.add_done_callback(partial(self._after, slot, slot.candidate))
                    await asyncio.sleep(INTERVAL)
        finally:
            await self._flights.aclose()

    async def _settle(self, slot: Slot, candidate: Key) -> None:
        answer = await self._ask(candidate.secret)
        if slot.candidate is not candidate:
            return  # rotated meanwhile: this answer is not about the key that waits now
        now = self._clock()
        if isinstance(answer, _Unchecked):
            slot.failed("pin_unchecked", now + RETRY_AFTER, answer.detail)
            self._schedule.put(slot, now + RETRY_BACKGROUND)
            if answer.defect:
                self._report(slot, f"{slot.name}: pin_unchecked: {answer.detail}")
            return
        mismatch = (slot.pin or Pin()).differs(answer)
        if mismatch is None:
            before = slot.key
            slot.confirmed(candidate)
            slot.opens = answer.id
            report_change(slot, before, self._emit)
        else:
            slot.refuted(candidate, mismatch, now + RETRY_BACKGROUND)
            self._report(slot, f"slot {slot.name}: {MISMATCHES[mismatch]}")

    async def _ask(self, secret: Secret) -> WorkspaceFacts | _Unchecked:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                return await self._check(secret)
        except GatewayError as error:
            return _Unchecked(error.detail or error.key)
        except TimeoutError:
            return _Unchecked("Invopop did not answer in time")
        except Exception as error:  # noqa: BLE001 - fails closed: the key stays unused
            # A message may quote the key or the reply: the type's name must do.
            return _Unchecked(f"the workspace check failed: {type(error).__name__}", defect=True)

    def _report(self, slot: Slot, reason: str) -> None:
        self._emit(KeyRefreshed(slot.tenant, slot.source.kind, "failure", reason))

    def _after(self, slot: Slot, checked: Key, _: object) -> None:
        if slot.candidate is None or slot.candidate is checked or slot.retired:
            self._wake(slot)
        else:  # whoever waits, waits for the key that took its place
            self._schedule.put(slot, NEVER if slot in self._ended else self._clock())

    def _wake(self, slot: Slot) -> None:
        if ended := self._ended.pop(slot, None):
            ended.set()
