"""Reading again after a rejected key: once per tenant at a time, with a pause if it was in vain."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.pin import Pin, WorkspaceFacts
from gateway.secret import Secret
from gateway.vault import reading as rereads_module
from gateway.vault.key_ring import KeyRing, Slot
from gateway.vault.pins import Pins
from gateway.vault.reading import COOL_DOWN, Reader, RejectedKeyReread
from tests.support.vaults import FakeStore, key_source


class Table:
    """Re-reads over a store in memory; every pinned key is of workspace `w-1`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store = FakeStore({"a": "old", "b": "old"})
        self.reader = Reader(lambda _: None, lambda _: None, lambda: self.now)
        self.reader.adopt({"aws": self.store}, 30.0)
        pins = Pins(self._vouch, lambda _: None, lambda: self.now)
        self.rereads = RejectedKeyReread(self.reader, pins, lambda: self.now)
        self._checking = asyncio.ensure_future(pins.run())

    async def _vouch(self, secret: Secret) -> WorkspaceFacts:
        return WorkspaceFacts("w-1")

    def ring(self, reference: str, workspace: str | None = None) -> KeyRing:
        slot = Slot(
            reference, "key", key_source(aws=reference), Pin(workspace) if workspace else None
        )
        slot.loaded(Secret("old"), 0.0)
        if slot.candidate is not None:
            slot.confirmed(slot.candidate)
        return KeyRing((slot,))

    async def again(self, ring: KeyRing) -> None:
        task = self.rereads.begin(ring)
        assert task is not None
        async with asyncio.timeout(5):
            await task

    async def aclose(self) -> None:
        self._checking.cancel()
        await asyncio.wait((self._checking,))
        await self.rereads.aclose()
        await self.reader.aclose()


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    made = Table()
    yield made
    await made.aclose()


def key_of(ring: KeyRing) -> str:
    key = ring.slots[0].key
    assert key is not None
    return key.secret.reveal()


async def test_whoever_comes_while_it_is_under_way_joins(table: Table) -> None:
    """One tenant's sources are read once for all that wait, and another's beside them."""
    table.store.open.clear()
    one, other = table.ring("a"), table.ring("b")
    first = table.rereads.begin(one)
    await asyncio.sleep(0)  # it has begun
    assert first is not None
    assert table.rereads.begin(one) is first
    assert table.rereads.begin(other) is not first
    table.store.open.set()
    await first
    await table.again(table.ring("b"))
    assert sorted(set(table.store.reads)) == ["a", "b"]


async def test_after_one_in_vain_there_is_a_pause(table: Table) -> None:
    """A key that is just revoked does not become a read per request."""
    ring = table.ring("a")
    await table.again(ring)
    table.now += COOL_DOWN - 0.1
    assert table.rereads.begin(ring) is None
    table.now += 0.1
    await table.again(ring)
    assert table.store.reads == ["a", "a"]


async def test_after_a_new_key_there_is_no_pause(table: Table) -> None:
    """A rotation that has only just begun may go on."""
    ring = table.ring("a")
    for value in ("newer", "newest"):
        table.store.secrets["a"] = value
        await table.again(ring)
        assert key_of(ring) == value


async def test_a_pinned_key_is_checked_at_once(table: Table) -> None:
    """The request that waits is served with the new key, once Invopop has vouched for it."""
    ring = table.ring("a", workspace="w-1")
    table.store.secrets["a"] = "new"
    await table.again(ring)
    assert key_of(ring) == "new"


async def test_a_read_that_began_before_the_rejection_is_not_enough(table: Table) -> None:
    """Its answer may be from before the rotation: another read follows."""
    ring = table.ring("a")
    table.store.open.clear()
    table.reader.read(ring.slots[0])
    await asyncio.sleep(0)  # the early read has begun
    table.now += 1.0
    table.store.open.set()
    await table.again(ring)
    assert table.store.reads == ["a", "a"]


async def test_a_store_that_hangs_is_waited_for_only_so_long(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it counts as in vain, and the pause begins."""
    monkeypatch.setattr(rereads_module, "LONGEST", 0.01)
    table.store.open.clear()
    ring = table.ring("a")
    await table.again(ring)
    assert ring.reread_at == table.now + COOL_DOWN
