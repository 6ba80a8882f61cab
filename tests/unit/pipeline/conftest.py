"""The way of one request, with every room real but the wire.

Streaming over sockets, leaving callers and drain are shown by the integration tests.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway, open_gateway
from gateway.asgi import CONTENT_LENGTH, PEER, TARGET
from gateway.events import ExchangeEnded
from gateway.model import Exchange, Peer
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.pipeline import Pipeline
from gateway.settings.load import load
from gateway.upstream.breaker import Breaker
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender
from tests.support.httpx_exchange import AUTHORITY, HttpxExchange

TOKEN = "igw_billing"
ACME = {"x-invopop-tenant": "acme"}
KEYS = {"ACME_KEY": "key-acme-1", "ACME_OLD": "key-acme-0", "GLOBEX_KEY": "key-globex"}
Answer = Callable[[httpx.Request], httpx.Response]


class Wire(httpx.AsyncBaseTransport):
    """The lowest seam: remembers what would have been sent, with its body."""

    def __init__(self) -> None:
        self.sent: list[tuple[httpx.Request, bytes]] = []
        self.answer: Answer = lambda _: httpx.Response(200, json={"ping": "pong"})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in stream])
        self.sent.append((request, body))
        return self.answer(request)

    def keys(self) -> list[str]:
        """What was shown with each request, checks of a key's workspace aside."""
        return [
            request.headers["authorization"]
            for request, _ in self.sent
            if request.extensions["target"] != b"/access/v1/workspace"
        ]


class World:
    """A pipeline over the configuration below, and what it told."""

    def __init__(self, gateway: Gateway, wire: Wire) -> None:
        self.gateway, self.wire = gateway, wire
        self.exchanges: list[Exchange] = []
        gateway.events.subscribe(ExchangeEnded, lambda e: self.exchanges.append(e.exchange))
        emit = gateway.events.emit
        forwarder = Forwarder(HttpxExchange(wire), AUTHORITY, emit)
        retries = Retries(RetryRules(2, frozenset({"GET", "PUT", "DELETE"})), lambda: 0.0)
        gateway.services.sender = Sender(forwarder, retries, Breaker(0.5, 5.0), emit)
        gateway.in_use.workspace_check.sender = Sender(forwarder, retries, Breaker(0, 5.0), emit)
        self.pipeline = Pipeline(gateway.services, gateway.new_request_id, gateway.events.emit)

    async def call(
        self,
        method: str = "GET",
        target: str = "/utils/v1/ping",
        *,
        token: str = TOKEN,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> tuple[int, dict[str, str], bytes]:
        fields = {"authorization": f"Bearer {token}"} if token else {}
        fields |= headers or {}
        if body:
            fields["content-length"] = str(len(body))
        scope = {
            "type": "http",
            "method": method,
            "headers": [(k.lower().encode(), v.encode()) for k, v in fields.items()],
            "extensions": {
                TARGET: target.encode(),
                PEER: Peer("10.0.0.7"),
                CONTENT_LENGTH: len(body),
            },
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.pipeline(scope, receive, send)
        start, *parts = sent
        answer = {k.decode(): v.decode() for k, v in start["headers"]}
        return start["status"], answer, b"".join(p["body"] for p in parts)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (tmp_path / "gateway.toml").write_text(
        f"""
        [limits]
        max_body = 100
        max_in_flight = 2
        [callers.billing]
        tokens = ["sha256:{digest}"]
        tenants = ["acme", "globex", "ghost"]
        deny = ["access.workspace.update"]
        [callers.sidecar]
        networks = ["127.0.0.1/32"]
        tenants = ["acme"]
        """
    )
    (tmp_path / "vault.toml").write_text(
        """
        [tenants.acme]
        key = { env = "ACME_KEY" }
        previous = { env = "ACME_OLD" }
        [tenants.globex]
        key = { env = "GLOBEX_KEY" }
        """
    )
    writer = LineWriter(1)
    loaded = load(tmp_path / "gateway.toml", KEYS)
    gateway = await open_gateway(loaded, KEYS, Logger(writer, "error", "json"))
    yield World(gateway, Wire())
    await gateway.aclose()
    writer.close()
