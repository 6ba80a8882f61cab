"""Issuers that publish their keys: one over real TLS, one in the test's own hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from gateway.events import Event, JwksRefreshed
from gateway.identity.jwks import Fetched, RemoteKeys
from gateway.identity.keys import from_document
from gateway.settings.callers import Issuer as IssuerSettings
from tests.support.certificates import Authority, server_context
from tests.support.identities import ISSUER
from tests.support.jwt import Issuer

STALL = b"stall"
ALGORITHMS = ("RS256", "ES256")


class Publisher:
    """An issuer's endpoint and a clock, both in the test's hand."""

    def __init__(self, issuer: Issuer) -> None:
        self.now = 1000.0
        self.fetches = 0
        self.open = asyncio.Event()
        self.open.set()
        self.answer: Exception | bytes = json.dumps(issuer.jwks()).encode()
        self.max_age: float | None = None
        self.events: list[JwksRefreshed] = []

    async def fetch(self) -> Fetched:
        """Answers once the gate is open."""
        self.fetches += 1
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return Fetched(from_document(self.answer, ALGORITHMS), self.max_age)

    def emit(self, event: Event) -> None:
        """Keeps what was told."""
        assert isinstance(event, JwksRefreshed)
        self.events.append(event)

    def keys(self, **changes: float) -> RemoteKeys:
        """The key set under test."""
        settings = IssuerSettings(
            issuer=ISSUER, audience="a", algorithms=ALGORITHMS,
            jwks_url="https://id.internal/jwks", **changes,
        )  # fmt: skip
        return RemoteKeys(settings, self.fetch, self.emit, lambda: self.now)

    def publish(self, *keys: dict[str, object]) -> None:
        """These keys from now on."""
        self.answer = json.dumps({"keys": keys}).encode()

    def due(self, keys: RemoteKeys) -> float:
        """Seconds until the next fetch by itself."""
        return keys._due - self.now


class JwksServer:
    """Answers each path with the bytes that the test put there, and keeps what it was asked."""

    def __init__(self, authority: Authority) -> None:
        self.ca_file = authority.ca_file
        self.tls = server_context(authority.certificate("localhost"))
        self.replies: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        """Its origin."""
        return f"https://localhost:{self.port}"

    def put(self, path: str, body: bytes, status: str = "200 OK", *fields: str) -> None:
        """This reply from now on."""
        head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields]
        self.replies[path] = "\r\n".join([*head, "", ""]).encode() + body

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one reply."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(head)
            reply = self.replies.get(head.split()[1], b"")
            if reply == STALL:
                await reader.read()
            writer.write(reply)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """On its old port, if it had one."""
        server = await asyncio.start_server(self.answer, "localhost", self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield


@asynccontextmanager
async def running(loop: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """A background loop, as the application runs it."""
    task = asyncio.ensure_future(loop())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop run until `condition` holds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)
