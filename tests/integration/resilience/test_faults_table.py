"""The table of faults is what happens: each row of `faults.md` is played, and must come out so."""

from collections.abc import Iterator

import pytest

from tests.bench.resilience.fault_scenarios import Fault, all_faults
from tests.bench.resilience.faults import (
    METHODS,
    TABLE,
    cell,
    heading,
    row,
    settle_budget,
    started,
)
from tests.support.world import World

FAULTS = all_faults()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with short timeouts before an origin that plays faults."""
    with started(tmp_path_factory.mktemp("faulty")) as world:
        yield world


def written() -> list[str]:
    """The table's lines."""
    return [line for line in TABLE.read_text().splitlines() if line.startswith("|")]


def test_table_is_whole() -> None:
    """One row for each fault, in order, under the right heading."""
    assert written()[:2] == heading()
    names = [line.split(" | ")[0].removeprefix("| ") for line in written()[2:]]
    assert names == [fault.name for fault in FAULTS]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_row(faulty: World, fault: Fault) -> None:
    """Outcome and attempts of each method; no POST comes twice but with the tenant's other key."""
    settle_budget(faulty, fault)
    cells = [cell(faulty, fault, method) for method in METHODS]
    assert row(fault, cells) in written()
    assert cells[METHODS.index("POST")].arrived <= (2 if fault.two_keys else 1)
    faulty.origin.forget()
