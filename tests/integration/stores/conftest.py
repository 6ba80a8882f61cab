"""An OpenBao server for each module, and sources that are closed."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.vault.sources.openbao import OpenBaoSource
from tests.support.openbao import OpenBaoServer
from tests.support.openbao_sources import fill


@pytest.fixture(scope="module")
def server() -> Iterator[OpenBaoServer]:
    """One server for the module, with a policy over `secret/invopop/`."""
    with OpenBaoServer() as started:
        fill(started)
        yield started


@pytest.fixture
async def sources(server: OpenBaoServer) -> AsyncIterator[list[OpenBaoSource]]:
    """Sources to be closed when the test ends."""
    opened: list[OpenBaoSource] = []
    yield opened
    for source in opened:
        await source.aclose()
