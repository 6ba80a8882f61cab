"""`POST /access/v1/enrollment/authorize`: asks Invopop for a key of an application.

Its connections are its own: requests that fill the pool hold up no renewal.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from gateway.events import Emit, UpstreamFailed
from gateway.model import Headers, Outbound
from gateway.upstream.connection import StaleConnectionError
from gateway.upstream.edge import ADVICE, EDGE_REFUSED, is_signature
from gateway.upstream.failures import failure
from gateway.upstream.forwarder import RoundTrip
from gateway.upstream.headers import USER_AGENT, VIA
from gateway.upstream.own_calls import whole_body
from gateway.upstream.request_encoder import Timeouts
from gateway.upstream.target import Authority
from gateway.upstream.transport import Transport

TARGET: Final = b"/access/v1/enrollment/authorize"


class _Body:
    """A body that is all here."""

    replayable = True

    def __init__(self, ready: bytes) -> None:
        self.ready: bytes | None = ready

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


class EnrollmentCall:
    """Sends to one upstream, over connections of its own."""

    def __init__(
        self, transport: Transport, authority: Authority, timeouts: Timeouts, emit: Emit
    ) -> None:
        self._transport = transport
        self._emit = emit
        self._host = authority.host_field
        self._exchange: RoundTrip = transport.exchange_with(authority, timeouts)

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._transport.aclose()

    async def post(self, body: bytes) -> tuple[int, Headers, bytes]:
        """Status, headers and body of Invopop's answer. Raises `GatewayError`."""
        headers = [
            (b"host", self._host),
            (b"accept", b"application/json"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            USER_AGENT,
            VIA,
        ]
        outbound = Outbound("POST", TARGET, headers, _Body(body))
        try:
            reply = await self._exchange(outbound)
        except StaleConnectionError:  # closed while idle: asking twice does no harm
            reply = await self._exchange(replace(outbound, fresh=True))
        try:
            answer = await whole_body(reply)
        finally:
            await reply.body.aclose()
        if answer is None:
            raise failure("protocol", sent=True, cause="protocol: the answer is too long")
        if reply.status == 403 and is_signature(answer):  # says nothing about the application
            self._emit(UpstreamFailed(EDGE_REFUSED, ""))
            raise failure("protocol", sent=True, cause=f"{EDGE_REFUSED}: {ADVICE}")
        return reply.status, reply.headers, answer


class EnrollmentCalls:
    """Sends as `current` does; a reload replaces that."""

    def __init__(self, current: EnrollmentCall) -> None:
        self.current = current

    async def post(self, body: bytes) -> tuple[int, Headers, bytes]:
        """As `EnrollmentCall.post`."""
        return await self.current.post(body)

    async def aclose(self) -> None:
        """Closes the connections in use."""
        await self.current.aclose()
