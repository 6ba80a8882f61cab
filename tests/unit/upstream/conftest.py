"""A private certificate authority, origins under it, and transports that trust it.

Everything runs on uvloop and on asyncio's own loop: they end connections differently.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from gateway import flush_queue
from gateway.events import Event
from gateway.network.resolver import Resolver
from gateway.network.tls import client_context
from gateway.upstream.transport import PoolLimits, Transport
from tests.support.certificates import Certificates
from tests.support.origin import Origin, Script


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def origin(certificates: Certificates) -> Iterator[Callable[[Script], Origin]]:
    """Starts origins by their script; they stop with the test."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(Origin(script, certificates.context()))


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may end with an error that only the event loop has noticed."""
    yield
    noticed = [record.getMessage() for record in caplog.get_records("call")]
    assert not [message for message in noticed if "Using selector" not in message]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest_asyncio.fixture
async def transport(
    certificates: Certificates, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Transport]]:
    """Makes transports that trust the test's authority; they close with the test.

    They send at the end of each turn, as where many requests are in flight.
    """
    monkeypatch.setattr(flush_queue, "FEW", -1)
    made: list[Transport] = []

    def make(proxy: tuple[str, int] | None = None, **limits: Any) -> Transport:
        context = client_context(certificates.ca_file, ca_only=True)
        # Whose look-ups are told to nobody: they have tests of their own.
        options: Any = {"limits": PoolLimits(**limits), "proxy": proxy, "resolver": Resolver()}
        made.append(Transport(context, events.append, **options))
        return made[-1]

    yield make
    for one in made:
        await one.aclose()
