"""`backlog`: many slots, taken up in portions with pauses for requests."""

import asyncio
from itertools import groupby

import pytest

from gateway.vault import background
from gateway.vault.background import Backlog
from gateway.vault.key_ring import Slot
from gateway.vault.snapshot import new_slot
from tests.support.jwks import running
from tests.support.vaults import key_source, vault_settings

SETTINGS = vault_settings().vault


def slots(number: int) -> list[Slot]:
    """So many slots."""
    source = key_source(env="X")
    return [new_slot(f"t{n}", "key", source, SETTINGS) for n in range(number)]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "PORTION", 3)


async def test_requests_are_served_between_two_portions() -> None:
    """One turn of the event loop, no more, after each portion; all slots in their order."""
    told: list[Slot | None] = []
    added = slots(8)
    made = Backlog(told.append)
    made.add(added[:7])
    made.add(added[7:])
    async with running(made.run):
        for _ in range(4):
            await asyncio.sleep(0)
            told.append(None)
    groups = [list(group) for turn, group in groupby(told, lambda slot: slot is None) if not turn]
    assert groups == [added[:3], added[3:6], added[6:]]


async def test_slots_that_left_the_configuration_are_left_out() -> None:
    """They may have been retired while they waited."""
    told: list[Slot] = []
    added = slots(3)
    made = Backlog(told.append)
    made.add(added)
    added[1].retired = True
    async with running(made.run):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert told == [added[0], added[2]]
