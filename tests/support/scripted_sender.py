"""A sender over a scripted wire: what it sent, what it told, what came of it."""

from collections.abc import AsyncIterator
from math import inf
from time import perf_counter

import httpx

from gateway.errors import GatewayError
from gateway.events import CircuitChanged, Event, UpstreamRetried
from gateway.model import Exchange, Key, Outbound, Reply
from gateway.secret import Secret
from gateway.upstream.breaker import Breaker
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender
from tests.support.httpx_exchange import AUTHORITY, HttpxExchange

Step = int | BaseException | httpx.Response
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


def key(tenant: str = "acme") -> Key:
    return Key(tenant, "key", Secret(f"secret-of-{tenant}"))


class Body:
    """A request's body; `taken` counts how often it was asked for from the start."""

    ready = None

    def __init__(self, *chunks: bytes, replayable: bool = True) -> None:
        self.chunks, self.replayable, self.taken = chunks, replayable, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.taken += 1
        for chunk in self.chunks:
            yield chunk


class Stream(httpx.AsyncByteStream):
    """A reply's body that knows whether it was given up."""

    closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"whole"

    async def aclose(self) -> None:
        self.closed = True


class Wire(httpx.AsyncBaseTransport):
    """The lowest seam: each attempt takes the next step; the last step is there for ever."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.streams: list[Stream] = []
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert all(stream.closed for stream in self.streams)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self.bodies.append(b"".join([chunk async for chunk in request.stream]))
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, BaseException):
            raise step
        self.streams.append(Stream())
        if isinstance(step, httpx.Response):
            return httpx.Response(step.status_code, headers=step.headers, stream=self.streams[-1])
        return httpx.Response(step, stream=self.streams[-1])


class World:
    """A sender over such a wire, and what it told."""

    def __init__(self, *steps: Step, ratio: float = 0.5) -> None:
        self.wire = Wire(list(steps))
        self.told: list[Event] = []
        self.breaker = Breaker(ratio, 5.0)
        forwarder = Forwarder(HttpxExchange(self.wire), AUTHORITY, self.told.append)
        retries = Retries(RetryRules(2, IDEMPOTENT), lambda: 0.0)
        self.sender = Sender(forwarder, retries, self.breaker, self.told.append)
        self.x = Exchange(0.0, "id")

    async def send(
        self,
        method: str = "GET",
        body: Body | None = None,
        *,
        tenant: str = "acme",
        patience: float = inf,
    ) -> int:
        """The status that stands, or of the error that does."""
        self.x = Exchange(0.0, "id")
        party = (tenant, f"of-{tenant}")  # each tenant has a caller of its own
        headers = [(b"host", b"api.invopop.com")]
        outbound = Outbound(method, b"/x", headers, body, party=party)
        try:
            deadline = perf_counter() + patience
            reply = await self.sender.send(outbound, key(tenant), self.x, deadline=deadline)
        except GatewayError as error:
            return error.status
        assert await content(reply) == b"whole"
        return reply.status

    def retries(self) -> list[str]:
        return [event.reason for event in self.told if isinstance(event, UpstreamRetried)]

    def circuit_changes(self) -> list[bool]:
        return [event.open for event in self.told if isinstance(event, CircuitChanged)]


async def content(reply: Reply) -> bytes:
    data = b"".join([chunk async for chunk in reply.body])
    await reply.body.aclose()
    return data
