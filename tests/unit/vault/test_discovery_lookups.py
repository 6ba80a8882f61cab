"""Look-ups of unlisted tenants in progress: one per name, answered as the contract says."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import CallerError, GatewayError, GatewayFault
from gateway.vault.discovery import MISSES_AT_ONCE, WAITING, LookUps
from gateway.vault.key_ring import KeyNeeded, Slot
from gateway.vault.reading import Reader
from gateway.vault.sources.source import SourceError
from tests.support.vaults import FakeStore, vault_file, vault_settings

SECTION = vault_file(discover={"key": {"aws": "x/{tenant}"}}).discover
SETTINGS = vault_settings(negative_ttl=30).vault


class Table:
    """Look-ups over a store in memory, with a clock of their own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store = FakeStore()
        self.found: list[Slot] = []
        self._reader = Reader(lambda _: None, lambda _: None, lambda: self.now)
        self._reader.adopt(dict.fromkeys(("aws", "gcp", "azure"), self.store), 30.0)
        self.lookups = LookUps(self._reader, self.found.append, lambda: self.now)
        self.lookups.adopt(SECTION, SETTINGS)

    async def look(self, tenant: str, caller: str = "billing") -> None:
        await self.lookups.begin(tenant, caller)

    def refusal(self, tenant: str, caller: str = "billing") -> GatewayError:
        with pytest.raises((CallerError, GatewayFault)) as refused:
            self.lookups.begin(tenant, caller)
        assert isinstance(refused.value, GatewayError)
        return refused.value

    async def aclose(self) -> None:
        await self.lookups.aclose()
        await self._reader.aclose()


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    made = Table()
    yield made
    await made.aclose()


async def test_a_name_that_is_not_there_is_denied_for_its_time(table: Table) -> None:
    """The caller sees what it sees of a tenant that it may not use; then the store is asked."""
    await table.look("nobody")
    table.now = 129.9
    refused = table.refusal("nobody")
    assert (refused.key, refused.cause) == ("tenant_denied", "unknown_tenant")
    table.now = 130.0
    assert isinstance(table.lookups.missing("nobody"), KeyNeeded)
    await table.look("nobody")
    assert table.store.reads == ["x/nobody", "x/nobody"]


async def test_a_store_that_fails_is_503_until_it_may_be_asked_again(table: Table) -> None:
    """`Retry-After` is the time that is left, and the log learns the store's word."""
    table.store.secrets["x/a"] = SourceError("denied", "no right to read")
    await table.look("a")
    table.now = 110.5
    refused = table.refusal("a")
    assert (refused.key, refused.cause) == ("key_unavailable", "denied")
    assert refused.headers == [(b"retry-after", b"20")]


async def test_without_a_section_nobody_is_found(table: Table) -> None:
    """The log can tell it from a tenant that is another caller's."""
    table.lookups.adopt(None, SETTINGS)
    refused = table.refusal("a")
    assert (refused.key, refused.cause) == ("tenant_denied", "unknown_tenant")
    assert table.store.reads == []


async def test_a_name_that_the_store_cannot_have_is_denied(table: Table) -> None:
    """Google answers 400 to it, not 404: no tenant all the same, and the store is not asked."""
    section = vault_file(discover={"key": {"gcp": "invopop-{tenant}"}}).discover
    table.lookups.adopt(section, SETTINGS)
    for _ in range(2 * int(MISSES_AT_ONCE)):  # so it costs no look-up
        refused = table.refusal("a.b")
    assert (refused.key, refused.cause) == ("tenant_denied", "unknown_tenant")
    assert table.store.reads == []


async def test_of_the_spellings_of_one_secret_only_one_is_a_tenant(table: Table) -> None:
    """Azure gives `acme`'s key to who asks for `ACME`: nobody is let ask."""
    section = vault_file(discover={"key": {"azure": "x-{tenant}"}}).discover
    table.lookups.adopt(section, SETTINGS)
    table.store.secrets = {f"x-{name}": "key-acme" for name in ("acme", "Acme", "ACME")}
    for name in ("Acme", "ACME"):
        assert table.refusal(name).key == "tenant_denied"
    await table.look("acme")
    assert [slot.tenant for slot in table.found] == ["acme"]
    assert table.store.reads == ["x-acme"]


async def test_one_look_up_per_name_at_a_time(table: Table) -> None:
    """Whoever wants the same name joins; another name is looked up beside it."""
    table.store.secrets = {"x/a": "key-a", "x/b": "key-b"}
    table.store.open.clear()
    first, second = (table.lookups.begin("a", caller) for caller in ("billing", "reports"))
    other = table.lookups.begin("b", "billing")
    assert first is second
    assert other is not first
    for _ in range(2 * int(MISSES_AT_ONCE)):  # joining is free
        assert table.lookups.begin("a", "reports") is first
    assert table.lookups.begin("c", "reports")
    table.store.open.set()
    await asyncio.gather(first, other)
    assert sorted(slot.tenant for slot in table.found) == ["a", "b"]
    assert sorted(table.store.reads) == ["x/a", "x/b", "x/c"]


async def test_a_caller_without_look_ups_left_waits_a_second(table: Table) -> None:
    """Who misses too often is told so, and when there is one again."""
    for number in range(int(MISSES_AT_ONCE)):
        await table.look(f"n{number}")
    refused = table.refusal("another")
    assert (refused.key, refused.cause) == ("key_unavailable", "look_ups_exhausted")
    assert refused.headers == [(b"retry-after", b"1")]
    await table.look("another", "honest")


async def test_first_needs_beyond_a_callers_look_ups_wait_in_line(table: Table) -> None:
    """After a start very many tenants come at once: none that exists is refused for that."""
    names = [f"n{number}" for number in range(3 * int(MISSES_AT_ONCE))]
    table.store.secrets = {f"x/{name}": f"key-{name}" for name in names}
    table.store.open.clear()
    looks = [table.lookups.begin(name, "billing") for name in names]
    assert table.lookups.begin(names[-1], "reports") is looks[-1]
    table.store.open.set()
    async with asyncio.timeout(5):
        assert await asyncio.gather(*looks) == [None] * len(names)
    assert [slot.tenant for slot in table.found] == names
    assert table.store.most_at_once <= MISSES_AT_ONCE


async def test_names_that_are_not_there_use_up_the_line(table: Table) -> None:
    """Who waits behind misses is refused once the last is known: no more are looked up."""
    table.store.open.clear()
    looks = [table.lookups.begin(f"n{number}", "billing") for number in range(250)]
    table.store.open.set()
    async with asyncio.timeout(5):
        shown = [absent.reason for absent in await asyncio.gather(*looks) if absent is not None]
    most = int(MISSES_AT_ONCE)
    assert shown == ["not_found"] * most + ["look_ups_exhausted"] * (250 - most)
    assert len(table.store.reads) == MISSES_AT_ONCE
    refused = table.refusal("n249")
    assert (refused.key, refused.cause) == ("key_unavailable", "look_ups_exhausted")
    table.now += 1.0
    await table.look("n249")  # it was not remembered as missing


async def test_the_line_is_bounded(table: Table) -> None:
    """A store that hangs does not make one grow without end; another caller has its own."""
    table.store.open.clear()
    for number in range(int(MISSES_AT_ONCE) + WAITING):
        table.lookups.begin(f"n{number}", "billing")
    assert table.refusal("one-more").cause == "look_ups_exhausted"
    assert table.lookups.begin("one-more", "reports")


async def test_what_was_missed_is_forgotten_with_its_section(table: Table) -> None:
    """Another `[discover]`, or other settings of the store, may know more; the same does not."""
    await table.look("nobody")
    table.lookups.adopt(SECTION, SETTINGS)
    assert table.refusal("nobody").key == "tenant_denied"
    table.lookups.adopt(SECTION, vault_settings(negative_ttl=60).vault)
    assert isinstance(table.lookups.missing("nobody"), KeyNeeded)


async def test_what_waiting_for_a_look_up_says(table: Table) -> None:
    """What it showed, also if that is remembered for no time; else that it goes on, or ended."""
    loop = asyncio.get_running_loop()
    table.lookups.adopt(SECTION, vault_settings(negative_ttl=0).vault)
    answer = await table.lookups.look("nobody", "billing", loop.time() + 5)
    assert (answer.key, answer.cause) == ("tenant_denied", "unknown_tenant")
    table.store.open.clear()
    for deadline in (loop.time(), loop.time() + 0.01):
        answer = await table.lookups.look("slow", "billing", deadline)
        assert (answer.key, answer.cause) == ("key_unavailable", "loading")
        assert isinstance(answer, GatewayFault)
        assert (b"retry-after", b"1") in answer.headers
    looking = asyncio.ensure_future(table.lookups.look("slow", "billing", loop.time() + 5))
    await asyncio.sleep(0)
    await table.lookups.aclose()
    assert (await looking).cause == "loading"
