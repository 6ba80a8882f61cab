"""A listener over real loopback sockets, on the event loop that production runs on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import uvloop

from gateway import flush_queue
from gateway.asgi import App, Message, Receive, Scope, Send
from gateway.errors import CallerError
from gateway.events import Event, ExchangeEnded
from gateway.model import Exchange
from gateway.server.http1 import RequestHead, parse_request_head
from gateway.server.listener import ConnectionLimits, Listener
from gateway.server.protocol import HttpProtocol
from tests.support.async_caller import Wire
from tests.unit.server.processes import Start, spawn


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Transports differ between loops: these tests run on the one that is shipped."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Served:
    """A running listener, what it told, and connections to it."""

    listener: Listener
    address: tuple[str, int]
    events: list[Event]
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def wire(self, **options: Any) -> Wire:
        """A new connection, closed with the test."""
        return await self.stack.enter_async_context(await Wire.connect(self.address, **options))

    @property
    def refusals(self) -> list[Exchange]:
        """The exchanges that never reached the app."""
        return [event.exchange for event in self.events if isinstance(event, ExchangeEnded)]

    @property
    def connection(self) -> HttpProtocol:
        """Our end of the only connection."""
        (connection,) = self.listener.connections
        assert isinstance(connection, HttpProtocol)
        return connection

    async def busy(self) -> None:
        """Returns once a request is in flight."""
        async with asyncio.timeout(5):
            while not self.listener.running:
                await asyncio.sleep(0.001)

    async def emptied_of_connections(self) -> None:
        """Returns once every connection that there has been is gone."""
        async with asyncio.timeout(5):
            while not self.listener.connections:
                await asyncio.sleep(0.001)
        await self.emptied()

    async def emptied(self) -> None:
        """Returns once no connection is open and no request in flight."""
        async with asyncio.timeout(5):
            while self.listener.connections or self.listener.running:
                await asyncio.sleep(0.005)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Serve]:
    """Starts listeners; at the test's end they must all become empty.

    They send at the end of each turn, as where many requests are in flight.
    """
    monkeypatch.setattr(flush_queue, "FEW", -1)
    async with AsyncExitStack() as stack:

        async def start(app: App, **limits: Any) -> Served:
            events: list[Event] = []
            listener = Listener(app, ConnectionLimits(**limits), lambda: "made-here", events.append)
            loop = asyncio.get_running_loop()
            server = await loop.create_server(lambda: HttpProtocol(listener), "127.0.0.1", 0)
            served = Served(listener, server.sockets[0].getsockname(), events)

            async def stop() -> None:
                server.close()
                await served.stack.aclose()
                await served.emptied()

            stack.push_async_callback(stop)
            return served

        yield start


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts processes that serve; they and the connections to them end with the test."""
    async with AsyncExitStack() as stack:
        yield partial(spawn, stack)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """Closes what a test has opened."""
    async with AsyncExitStack() as stack:
        yield stack


class Recorder:
    """An app that reads each body to its end and answers with what it saw."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        self.bodies.append(body)
        await answer(send, scope["raw_path"] + b":" + body)

    def header(self, name: bytes) -> list[bytes]:
        """The last request's values of a field."""
        return [value for field, value in self.scopes[-1]["headers"] if field == name]


async def answer(send: Send, body: bytes, status: int = 200) -> None:
    """A whole sized reply."""
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def piece(body: bytes) -> Message:
    """One part of a reply's body."""
    return {"type": "http.response.body", "body": body, "more_body": True}


def parse(*fields: bytes, line: bytes = b"POST /x HTTP/1.1", host: bytes = b"gw") -> RequestHead:
    """Parses a head of that first line, a Host, and those fields."""
    lines = [line, b"Host: " + host, *fields]
    return parse_request_head(b"".join(part + b"\r\n" for part in lines) + b"\r\n", 128)


def refusal(*fields: bytes, **options: bytes) -> int:
    """The status that a head is refused with."""
    with pytest.raises(CallerError) as caught:
        parse(*fields, **options)
    assert caught.value.key in {"bad_request", "headers_too_large"}
    return caught.value.status
