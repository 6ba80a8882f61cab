"""Many tenants, small enough for every run; the figures of very many come from tests/bench."""

from pathlib import Path

import pytest

from tests.bench.vault_scale import measure


@pytest.mark.parametrize("kind", ["value", "file", "discover"])
async def test_a_thousand_tenants(tmp_path: Path, kind: str) -> None:
    """Each kind starts, serves, and reloads with every request answered 200 meanwhile."""
    figures = await measure(tmp_path, kind, 1000, seconds=0.2)
    assert figures.effect < 4.0
    assert figures.reload < 1000  # ms, on a machine that does other things too
