"""Everything at once, for a short while; the long runs are scripts under tests/bench."""

from pathlib import Path

from tests.bench.resilience import chaos
from tests.bench.soak import soak


async def test_chaos(tmp_path: Path) -> None:
    """Faults, reloads, a kill, rolling restarts: no promise is broken, and there was traffic."""
    figures = await chaos.run(tmp_path, seconds=15, rate=80)
    assert figures.broken == []
    assert figures.idempotent["200"] > 300
    assert figures.done["kills"] >= 1
    assert figures.done["rolling restarts"] >= 1


async def test_soak(tmp_path: Path) -> None:
    """Case 195: descriptors, tasks, slots and memory are back; each key was the right one."""
    verdict = await soak(tmp_path, seconds=15, rate=150)
    assert verdict.leaks == []
    assert verdict.counts["200"] > 500
    assert len(verdict.met) > 10
