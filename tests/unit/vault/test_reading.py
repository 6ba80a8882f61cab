"""`reader`: which slots are read, when, and what is told of it."""

import asyncio
from collections.abc import Hashable

import pytest

from gateway.events import Event, KeyRefreshed
from gateway.settings.key_sources import KeySource
from gateway.vault import reading
from gateway.vault.key_ring import KeyRing, Slot
from gateway.vault.reading import PER_KIND, Reader
from gateway.vault.snapshot import new_slot
from gateway.vault.sources.source import SourceError
from tests.support.vaults import FakeStore, key_source, vault_settings

SETTINGS = vault_settings().vault


class Local(FakeStore):
    """A source on this machine: `marks` say how each of its places looks."""

    def __init__(self) -> None:
        super().__init__({"A": "key-a", "B": "key-b"})
        self.marks: dict[str, Hashable] = {"A": 1, "B": 1}

    def mark(self, source: KeySource) -> Hashable:  # type: ignore[override]
        """How it looks now."""
        return self.marks[source.reference]


class Rig:
    """A reader with a clock and sources in the test's hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.events: list[Event] = []
        self.ended: list[Slot] = []
        self.env, self.store = Local(), FakeStore({"C": "key-c"})
        self.reader = Reader(self.events.append, self.ended.append, lambda: self.now)
        self.reader.adopt({"env": self.env, "openbao": self.store}, 30.0)
        self.a, self.b = self.slot(env="A"), self.slot(env="B")
        self.c = self.slot(openbao="C", field="f")
        slots = {"a": self.a, "b": self.b, "c": self.c}
        self.rings = {name: KeyRing((slot,)) for name, slot in slots.items()}

    def slot(self, **source: str) -> Slot:
        """A slot of that source."""
        return new_slot("acme", "key", key_source(**source), SETTINGS)


@pytest.fixture
async def rig() -> Rig:
    """A reader that has read nothing yet."""
    return Rig()


async def test_a_read_is_told(rig: Rig) -> None:
    """The slot has its key, its keeper knows, and an event says so."""
    await rig.reader.read(rig.a)
    assert rig.a.key is not None
    assert rig.a.key.secret.reveal() == "key-a"
    assert rig.ended == [rig.a]
    assert rig.reader.outcomes == {"env": ""}
    assert rig.events[0] == KeyRefreshed("acme", "env", "success")


async def test_a_failure_is_told_with_its_reason(rig: Rig) -> None:
    """Its word, what it says to operators, and when a request may ask again."""
    rig.env.secrets["A"] = SourceError("denied", "the door is shut")
    await rig.reader.read(rig.a)
    assert (rig.a.failure, rig.a.detail, rig.a.retry_at) == ("denied", "the door is shut", 1030.0)
    assert rig.ended == [rig.a]
    assert rig.reader.outcomes == {"env": "denied"}
    assert rig.events == [KeyRefreshed("acme", "env", "failure", "key: denied: the door is shut")]


@pytest.mark.parametrize(("since", "reads"), [(1000.0, 1), (1000.1, 2)])
async def test_a_read_that_began_too_early_is_made_again(
    rig: Rig, since: float, reads: int
) -> None:
    """One begun at that very time is good enough."""
    rig.env.open.clear()
    first = rig.reader.read(rig.a)
    await asyncio.sleep(0)
    again = asyncio.ensure_future(rig.reader.read_since([rig.a], since))
    await asyncio.sleep(0)
    rig.env.open.set()
    await again
    assert first.done()
    assert rig.env.reads == ["A"] * reads


async def test_a_read_that_waits_for_its_turn_counts_as_too_early(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, and made again: nobody knows when it will have begun."""
    monkeypatch.setattr(reading, "PER_KIND", 1)
    rig = Rig()
    rig.env.open.clear()
    rig.reader.read(rig.b)
    await asyncio.sleep(0)
    rig.reader.read(rig.a)
    again = asyncio.ensure_future(rig.reader.read_since([rig.a], rig.now))
    await asyncio.sleep(0)
    rig.env.open.set()
    await again
    assert rig.env.reads == ["B", "A", "A"]


async def test_only_what_changed_on_this_machine_is_read(rig: Rig) -> None:
    """All at first; later what looks different, what failed, and what says nothing of itself."""

    async def read() -> list[str]:
        rig.env.reads.clear()
        await rig.reader.read_local(rig.rings)
        return rig.env.reads

    assert await read() == ["A", "B"]
    assert await read() == []
    rig.env.marks["B"] = 2
    assert await read() == ["B"]
    assert await read() == []
    rig.env.marks["A"] = None
    assert await read() == ["A"]
    assert await read() == ["A"]
    rig.env.marks["A"] = 1
    rig.b.failure = "denied"
    assert await read() == ["A", "B"]
    assert await read() == []
    assert rig.store.reads == []


async def test_what_is_being_read_when_it_changes_is_read_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read under way may have seen what was there before."""
    rig.env.open.clear()
    rig.reader.read(rig.a)
    await asyncio.sleep(0)
    rig.now += 1
    flights, looked = rig.reader._flights, asyncio.Event()
    real = flights.underway

    def underway(slot: Slot) -> asyncio.Task[None] | None:
        looked.set()
        return real(slot)

    monkeypatch.setattr(flights, "underway", underway)
    again = asyncio.ensure_future(rig.reader.read_local({"a": rig.rings["a"]}))
    await looked.wait()
    rig.env.open.set()
    await again
    assert rig.env.reads == ["A", "A"]


async def test_no_more_than_a_portion_is_read_at_once(rig: Rig) -> None:
    """Requests are served in between."""
    rings = {f"t{n}": KeyRing((rig.slot(env="A"),)) for n in range(2 * PER_KIND + 1)}
    await rig.reader.read_local(rings)
    assert len(rig.env.reads) == len(rings)
    assert rig.env.most_at_once == PER_KIND


async def reason(rig: Rig, slot: Slot) -> tuple[str, str]:
    """Why a slot's secret cannot be fetched."""
    with pytest.raises(SourceError) as caught:
        await rig.reader.fetch(slot.source)
    return caught.value.outcome, caught.value.reason


async def test_whatever_goes_wrong_is_said_with_its_place(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is not there, one that hangs, and a defect, of which only the type is told."""
    assert await reason(rig, rig.slot(aws="x")) == (
        "unavailable",
        "aws x: no such store is configured",
    )
    rig.store.secrets["C"] = RuntimeError("sk_canary")
    assert await reason(rig, rig.c) == ("unavailable", "openbao C#f: RuntimeError")
    monkeypatch.setattr(reading, "READ_TIMEOUT", 0.01)
    rig.store.open.clear()
    assert await reason(rig, rig.c) == ("unavailable", "openbao C#f did not answer in time")


async def test_sources_that_are_replaced_are_closed(rig: Rig) -> None:
    """Those alone, and each of them."""
    env, store = Local(), FakeStore()
    rig.reader.adopt({"env": rig.env, "openbao": store}, 30.0)
    await asyncio.sleep(0)
    assert (rig.env.closed, rig.store.closed) == (False, True)
    rig.reader.adopt({"env": env}, 30.0)
    await asyncio.sleep(0)
    assert (rig.env.closed, store.closed, env.closed) == (True, True, False)
