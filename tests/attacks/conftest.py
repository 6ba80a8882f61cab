"""The gallery's stage: one gateway under attack for all, and two that are set otherwise.

After every attack `World.check_invariants` holds: nothing leaked, nothing split, nothing stuck.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.callers import CALLERS, SIDECAR
from tests.support import forgeries
from tests.support.world import World

HURRIED = {"listen": {"header_timeout": 0.7, "body_timeout": 0.7}, "limits": {"max_body": "1MiB"}}


def _started(
    factory: pytest.TempPathFactory, name: str, changes: dict[str, Any]
) -> Iterator[World]:
    directory: Path = factory.mktemp(name)
    with World(directory, changes) as made:
        yield made


@pytest.fixture(scope="package")
def _under_attack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from _started(tmp_path_factory, "attacked", {"callers": CALLERS})


@pytest.fixture(scope="package")
def _beside_a_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from _started(
        tmp_path_factory,
        "sidecar",
        {"listen": {"host_names": ["GW.corp.example"]}, "callers": SIDECAR},
    )


@pytest.fixture(scope="package")
def _hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    yield from _started(tmp_path_factory, "hurried", HURRIED)


@pytest.fixture
def world(_under_attack: World) -> Iterator[World]:
    """A gateway with usual settings, shared by every attack."""
    yield _under_attack
    _under_attack.check_invariants()


@pytest.fixture
def sidecar(_beside_a_service: World) -> Iterator[World]:
    """One that knows whoever comes from its own machine, without a token."""
    yield _beside_a_service
    _beside_a_service.check_invariants()


@pytest.fixture
def hurried(_hurried: World) -> Iterator[World]:
    """One that waits 0.7 s for a request's head, and takes bodies of 1 MiB at most."""
    yield _hurried
    _hurried.check_invariants()


@pytest.fixture(scope="module")
def fresh() -> Iterator[None]:
    """Forged tokens that would hold now, were they not forged."""
    with forgeries.made_now():
        yield
