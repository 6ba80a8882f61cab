"""The forwarder: an Outbound goes to the upstream, a Reply comes back; both with the right headers.

Rule: serves one upstream, which gets a tenant's key with every request; or, `keyless`, one file
host, which never gets one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.errors import GatewayFault, UpstreamError
from gateway.events import Emit, KeyEchoed, UpstreamFailed
from gateway.framing import NO_CONTENT
from gateway.model import Inbound, Key, Outbound, Reply, RequestBody
from gateway.network.failures import told
from gateway.shares import Party
from gateway.upstream.headers import keyless_headers, outbound_headers
from gateway.upstream.known_headers import echoes, outbound_lines, pass_on
from gateway.upstream.reply_headers import keyless_reply_headers, reply_headers
from gateway.upstream.target import Authority

RoundTrip = Callable[[Outbound], Awaitable[Reply]]
"""One attempt: the reply as it came, its head there; raises GatewayError."""


class NoBody:
    """The body of a reply that has none."""

    ready: bytes | None = b""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """There is nothing to give up."""


class Forwarder:
    """Sends requests to one upstream, using `exchange`."""

    def __init__(
        self, exchange: RoundTrip, authority: Authority, emit: Emit, *, keyless: bool = False
    ) -> None:
        self.authority = authority
        self.keyless = keyless
        self._exchange = exchange
        self._emit = emit
        self._host = authority.host_field

    def prepare(
        self,
        inbound: Inbound,
        key: Key | None,
        body: RequestBody | None,
        in_force: Callable[[], bool] | None = None,
        party: Party = ("", ""),
    ) -> Outbound:
        """The request as it goes upstream. `key` is None for a file host only."""
        if (key is None) != self.keyless:
            raise GatewayFault("internal_error")
        known = inbound.known
        if key is None:
            headers = keyless_headers(inbound, self._host)
        elif known is not None:
            # By position: keywords would cost more than the rest of this line.
            return Outbound(
                inbound.method,
                inbound.target,
                [],
                body,
                False,
                in_force,
                party,
                outbound_lines(inbound, known, self._host, key),
                inbound.content_length,
            )
        else:
            headers = outbound_headers(inbound, self._host, key)
        return Outbound(inbound.method, inbound.target, headers, body, False, in_force, party)

    async def send(self, outbound: Outbound, key: Key | None, request_id: str) -> Reply:
        """One attempt: the reply, once its head is there.

        Raises UpstreamError, GatewayFault, or what the outbound body raises. The reply's body
        raises UpstreamError where it breaks off; its `aclose` must be awaited in the end.
        """
        try:
            reply = await self._exchange(outbound)
        except UpstreamError as error:
            if error.cause == error.kind:
                error.cause = told(error.kind, self._host.decode("ascii"))
            self._emit(UpstreamFailed(error.kind, request_id))
            raise
        if key is None:
            reply.headers = keyless_reply_headers(reply.headers, request_id)
        else:
            self._clean(reply, key, request_id)
        if reply.status in NO_CONTENT:  # how it is framed is the server's business
            await reply.body.aclose()
            reply.body = NoBody()
        return reply

    def _clean(self, reply: Reply, key: Key, request_id: str) -> None:
        if reply.known is not None and not echoes(reply.head, reply.headers, key):
            pass_on(reply, reply.known, self._host, request_id)
            return
        headers, echoed = reply_headers(reply.headers, key, self._host, request_id)
        if echoed:
            self._emit(KeyEchoed(key.tenant))
        reply.headers = headers
