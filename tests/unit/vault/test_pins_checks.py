"""One check of a workspace after another, without a vault around it: what each outcome does."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import GatewayFault
from gateway.events import Event, KeyRefreshed
from gateway.pin import Pin, WorkspaceFacts
from gateway.secret import Secret
from gateway.vault import pins as pins_module
from gateway.vault.key_ring import Slot
from gateway.vault.pins import RETRY_AFTER, RETRY_BACKGROUND, Pins
from tests.support.vaults import key_source, unanswered


class Checks:
    """Checks at a clock of their own, by an Invopop that knows `known` and hangs on `hanging`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.known: dict[str, str] = {}
        self.hanging: set[str] = set()
        self.errors: dict[str, Exception] = {}
        self.asked: list[str] = []
        self.events: list[Event] = []
        self.open = asyncio.Event()
        self.pins = Pins(self._ask, self.events.append, lambda: self.now)
        self.running = asyncio.ensure_future(self.pins.run())

    async def _ask(self, secret: Secret) -> WorkspaceFacts:
        self.asked.append(secret.reveal())
        if secret.reveal() in self.hanging:
            await self.open.wait()
        if (error := self.errors.get(secret.reveal())) is not None:
            raise error
        if (workspace := self.known.get(secret.reveal())) is None:
            raise unanswered()
        return WorkspaceFacts(workspace)

    async def urge(self, slot: Slot) -> None:
        async with asyncio.timeout(5):
            await self.pins.urge(slot, None)

    async def until_asked(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.asked) < count:
                await asyncio.sleep(0)


def waiting(value: str) -> Slot:
    """A slot whose key waits for its check."""
    slot = Slot(f"tenant-{value}", "key", key_source(env="K"), Pin("w-1"))
    slot.loaded(Secret(value), 0.0)
    return slot


@pytest.fixture
async def checks(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Checks]:
    monkeypatch.setattr(pins_module, "INTERVAL", 0.0)
    made = Checks()
    yield made
    made.running.cancel()
    await asyncio.wait((made.running,))


async def test_a_check_in_progress_is_joined(checks: Checks) -> None:
    """Whoever urges a key that is being checked waits for that check, and causes no other."""
    checks.hanging = {"a"}
    one = waiting("a")
    first = asyncio.ensure_future(checks.urge(one))
    await checks.until_asked(1)
    second = asyncio.ensure_future(checks.urge(one))
    await asyncio.sleep(0)  # it waits now
    checks.open.set()
    await asyncio.gather(first, second)
    await checks.urge(waiting("b"))
    assert checks.asked == ["a", "b"]


async def test_a_check_that_hangs_holds_up_no_other(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next key is asked about meanwhile; in the end the first counts as not answered."""
    monkeypatch.setattr(pins_module, "CHECK_TIMEOUT", 0.02)
    checks.hanging, checks.known = {"a"}, {"b": "w-1"}
    one, other = waiting("a"), waiting("b")
    first = asyncio.ensure_future(checks.urge(one))
    await checks.until_asked(1)
    await checks.urge(other)
    assert other.key is not None
    assert not first.done()
    await first
    assert (one.key, one.failure) == (None, "pin_unchecked")
    assert one.detail == "Invopop did not answer in time"
    assert checks.events == []


async def test_without_an_answer_it_is_asked_again_later(checks: Checks) -> None:
    """By a request after a short while, else in the background after a longer one."""
    slot = waiting("a")
    await checks.urge(slot)
    assert (slot.failure, slot.retry_at) == ("pin_unchecked", checks.now + RETRY_AFTER)
    await checks.urge(waiting("b"))
    assert checks.asked == ["a", "b"]
    checks.now += RETRY_BACKGROUND
    await checks.urge(waiting("c"))
    await checks.until_asked(4)
    assert checks.asked == ["a", "b", "c", "a"]


async def test_a_defect_of_the_check_is_reported_by_its_type(checks: Checks) -> None:
    """The key stays unused; operators see where to look, and nothing that may quote the key."""
    checks.errors = {"a": RuntimeError("canary-a")}
    slot = waiting("a")
    await checks.urge(slot)
    assert (slot.key, slot.failure) == (None, "pin_unchecked")
    assert slot.detail == "the workspace check failed: RuntimeError"
    reason = "key: pin_unchecked: the workspace check failed: RuntimeError"
    assert checks.events == [KeyRefreshed("tenant-a", "env", "failure", reason)]


async def test_why_invopop_gave_no_answer_is_kept(checks: Checks) -> None:
    """That it refused the key, or could not be reached, as any request would learn it."""
    checks.errors = {
        "a": GatewayFault("key_rejected", "Invopop rejects this key (401)."),
        "b": unanswered(),
    }
    first, second = waiting("a"), waiting("b")
    await checks.urge(first)
    await checks.urge(second)
    assert (first.failure, first.detail) == ("pin_unchecked", "Invopop rejects this key (401).")
    assert (second.failure, second.detail) == ("pin_unchecked", "upstream_unreachable")
    assert checks.events == []


async def test_another_workspace_is_told(checks: Checks) -> None:
    """An operator learns which tenant's key is not the one that it should be, and not the key."""
    checks.known = {"a": "w-2"}
    slot = waiting("a")
    await checks.urge(slot)
    reason = "slot key: the key belongs to another workspace than the pinned one"
    assert checks.events == [KeyRefreshed("tenant-a", "env", "failure", reason)]
    assert (slot.failure, slot.retry_at) == ("pin_mismatch", checks.now + RETRY_BACKGROUND)


async def test_a_key_rotated_twice_during_a_check_is_checked_next(checks: Checks) -> None:
    """The answer for the key that was replaced says nothing of the one that waits by then."""
    checks.hanging, checks.known = {"a"}, {"a": "w-2", "b": "w-1"}
    slot = waiting("a")
    first = asyncio.ensure_future(checks.urge(slot))
    await checks.until_asked(1)
    slot.loaded(Secret("b"), 1.0)
    checks.pins.want(slot)  # as the read does; too early, the check is under way
    await checks.urge(waiting("c"))
    checks.open.set()
    async with asyncio.timeout(5):
        await first
    assert checks.asked == ["a", "c", "b"]
    assert slot.key is not None
    assert (slot.key.secret.reveal(), slot.failure, checks.events) == ("b", "", [])


async def test_a_key_whose_check_is_outdated_harms_nothing(checks: Checks) -> None:
    """A key that was taken back while Invopop was asked leaves the one in use as it was."""
    checks.known = {"a": "w-1"}
    slot = waiting("a")
    await checks.urge(slot)
    checks.hanging = {"b"}
    slot.loaded(Secret("b"), 1.0)
    urged = asyncio.ensure_future(checks.urge(slot))
    await checks.until_asked(2)
    slot.loaded(Secret("a"), 2.0)
    checks.open.set()
    await urged
    assert slot.key is not None
    assert (slot.key.secret.reveal(), slot.failure, checks.asked) == ("a", "", ["a", "b"])


async def test_a_key_that_needs_no_check_any_more_holds_up_nobody(checks: Checks) -> None:
    """Whoever urged it goes on at once; those that nobody waits for end as quietly."""
    checks.known = {"a": "w-1"}
    slot = waiting("a")
    await checks.urge(slot)
    await checks.urge(slot)
    checks.pins.want(slot)
    other = waiting("b")
    checks.pins.want(other)
    await checks.until_asked(2)
    assert checks.asked == ["a", "b"]
    assert not checks.running.done()


@pytest.mark.parametrize("somebody_waits", [True, False])
async def test_a_key_rotated_during_its_check_is_as_urgent_as_before(
    checks: Checks, monkeypatch: pytest.MonkeyPatch, somebody_waits: bool
) -> None:
    """Its new key goes before all others if a request waits for it, else in its turn."""
    monkeypatch.setattr(pins_module, "INTERVAL", 0.01)
    checks.hanging, checks.known = {"a"}, {"b": "w-1"}
    slot, others = waiting("a"), [waiting("x"), waiting("y")]
    urged = asyncio.ensure_future(checks.urge(slot)) if somebody_waits else None
    checks.pins.want(slot)
    await checks.until_asked(1)
    for other in others:
        checks.pins.want(other)
    checks.now += 1.0
    slot.loaded(Secret("b"), 1.0)
    checks.open.set()
    await checks.until_asked(4)
    assert checks.asked == (["a", "b", "x", "y"] if somebody_waits else ["a", "x", "y", "b"])
    if urged is not None:
        await urged
