"""`refresh`: when a slot is read next."""

from typing import Any, Literal

import pytest

from gateway.vault import reading
from gateway.vault.key_ring import Slot, SlotFailure
from gateway.vault.reading import Reader, Refresher, Uses
from gateway.vault.snapshot import new_slot
from tests.support.vaults import key_source, vault_settings

NOW = 1000.0
NOBODY = Uses(lambda _: NOW, lambda _: None)


class Times:
    """A refresher whose schedules only note when they are to serve a slot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.put: list[float] = []
        self.drawn: list[tuple[float, float]] = []
        self.refresher = Refresher(
            Reader(lambda _: None, lambda _: None, lambda: NOW), NOBODY, lambda: NOW
        )
        for schedule in self.refresher._schedules.values():
            monkeypatch.setattr(schedule, "put", lambda _, at: self.put.append(at))
        monkeypatch.setattr(reading.random, "uniform", self.uniform)  # type: ignore[attr-defined]

    def uniform(self, low: float, high: float) -> float:
        """Half."""
        self.drawn.append((low, high))
        return 0.5

    def later(
        self, source: dict[str, Any], failure: SlotFailure | Literal[""] = "", **vault: float
    ) -> list[float]:
        """In how many seconds the slot is read again."""
        settings = vault_settings(**vault).vault
        slot: Slot = new_slot("acme", "key", key_source(**source), settings)
        slot.failure = failure
        self.put.clear()
        self.refresher.later(slot, settings)
        return [at - NOW for at in self.put]


@pytest.fixture
async def times(monkeypatch: pytest.MonkeyPatch) -> Times:
    """When slots are read next."""
    return Times(monkeypatch)


STORE = {"openbao": "x", "field": "f"}


async def test_before_refresh_is_over(times: Times) -> None:
    """Between three quarters and 95 % of it, so that not all come at once and none is late."""
    assert times.later(STORE, refresh=300.0) == [150.0]
    assert times.drawn == [(0.75, 0.95)]


@pytest.mark.parametrize(
    ("negative_ttl", "wait"), [(30.0, 15.0), (0.0, 0.5), (1.5, 0.75), (1000.0, 150.0)]
)
async def test_sooner_after_a_failure(times: Times, negative_ttl: float, wait: float) -> None:
    """By `negative_ttl`, but neither more often than each second nor later than `refresh`."""
    assert times.later(STORE, "denied", refresh=300.0, negative_ttl=negative_ttl) == [wait]


@pytest.mark.parametrize("source", [{"env": "A"}, {"value": "key-a"}])
async def test_what_cannot_change_is_not_read_again(times: Times, source: dict[str, str]) -> None:
    """Without a reload, at least."""
    assert times.later(source) == []
