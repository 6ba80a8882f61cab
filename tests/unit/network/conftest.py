"""A name server of the test's own; everything runs on uvloop and on asyncio's own loop."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


class Names(dict[str, list[str]]):
    """What each name resolves to; one without an address fails. `asked` are the look-ups begun.

    While `answering` is not set, those that have begun wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.answering = threading.Event()
        self.answering.set()

    def look_up(self, host: str, port: object, **hints: Any) -> list[Any]:
        """As `socket.getaddrinfo` does it."""
        if hints.get("flags") == socket.AI_NUMERICHOST:
            return _system(host, None, **hints)
        self.asked.append(host)
        assert self.answering.wait(30)
        if not self.get(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            found for address in self[host] for found in _system(address, None, type=hints["type"])
        ]


_system = socket.getaddrinfo


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """The only names that there are."""
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.look_up)
    yield made
    made.answering.set()
