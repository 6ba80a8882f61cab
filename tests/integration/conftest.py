"""Gateways that suites share, one process per module, and the check that follows every case."""

from collections.abc import Iterator

import pytest

from tests.support.world import World

QUICK = {
    "listen": {"header_timeout": 0.7, "body_timeout": 0.7, "write_timeout": 1.0,
               "idle_timeout": 0.9},
    "upstream": {"connect_timeout": 0.7, "read_timeout": 0.8},
}  # fmt: skip
NARROW = {
    "upstream": {"max_connections": 4, "connect_timeout": 1.0},
    "limits": {"max_in_flight": 20, "max_body": "1MiB"},
}


@pytest.fixture(scope="module")
def _usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("usual")) as world:
        yield world


@pytest.fixture(scope="module")
def _quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("quick"), QUICK) as world:
        yield world


@pytest.fixture(scope="module")
def _narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("narrow"), NARROW) as world:
        yield world


@pytest.fixture
def world(_usual: World) -> Iterator[World]:
    """A gateway with usual settings, and what must hold after each case."""
    yield _usual
    _usual.check_invariants()


@pytest.fixture
def quick(_quick: World) -> Iterator[World]:
    """One whose every deadline is under a second."""
    yield _quick
    _quick.check_invariants()


@pytest.fixture
def narrow(_narrow: World) -> Iterator[World]:
    """One with four upstream connections, room for twenty requests, and bodies of 1 MiB."""
    yield _narrow
    _narrow.check_invariants()
