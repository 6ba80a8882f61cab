"""Which key, and send: the tenant's key first, its other one if Invopop rejects that.

Nothing is sent without the grant's own tenant's key. A request goes out a second time only with
another key, after Invopop rejected the first, and only if its body can be replayed.
"""

from time import perf_counter

from gateway.errors import GatewayFault
from gateway.inbound import InboundBody
from gateway.model import Exchange, Grant, Inbound, Key, Reply
from gateway.services import RecordBeforeSend, Services
from gateway.vault.key_ring import KeyNeeded


class Attempts:
    """The attempts at one request. None begins after `deadline` (`time.perf_counter()`)."""

    __slots__ = ("_body", "_deadline", "_inbound", "_services", "_x")

    def __init__(
        self, services: Services, x: Exchange, inbound: Inbound, body: InboundBody, deadline: float
    ) -> None:
        self._services = services
        self._x = x
        self._inbound = inbound
        self._body = body
        self._deadline = deadline

    async def send(self, grant: Grant) -> Reply:
        """Invopop's reply, which the caller of this method must close.

        Raises `UpstreamError`, and `GatewayFault`: `circuit_open`, `key_unavailable`,
        `key_rejected`, `overloaded`, `audit_unavailable`.
        """
        x = self._x
        self._services.sender.check(grant.tenant)
        x.step("key")
        key = await self._key(grant)
        x.step("")
        x.tenant, x.would_deny = grant.tenant, grant.would_deny  # admitted: no sooner
        if self._inbound.content_length != 0:
            began = perf_counter()
            await self._body.prefetch()
            x.waited_seconds += perf_counter() - began
        reply = await self._attempt(key, 0)
        if reply.status == 401:
            return await self._with_another_key(key, reply)
        return reply

    async def _key(self, grant: Grant) -> Key:
        vault = self._services.vault
        try:
            return vault.key(grant.tenant)
        except KeyNeeded:
            began = perf_counter()
            key = await vault.read(grant.tenant, grant.caller)
            self._x.waited_seconds += perf_counter() - began
            return key

    async def _recorded(self, record_before_send: RecordBeforeSend) -> None:
        """Returns once it is on record which key is to be used. Raises `audit_unavailable`."""
        began = perf_counter()
        try:
            await record_before_send(self._x)
        finally:
            self._x.waited_seconds += perf_counter() - began

    async def _attempt(self, key: Key, made: int) -> Reply:
        """The reply to that key; `made` attempts went before."""
        x, inbound, body, sender = self._x, self._inbound, self._body, self._services.sender
        x.key_fingerprint, x.key_slot = key.fingerprint, key.slot
        if self._services.record_before_send is not None:
            await self._recorded(self._services.record_before_send)
        began = perf_counter()
        if not made:
            x.overhead_seconds = began - x.started - x.waited_seconds
        x.phase = "waiting"
        try:
            content = body if inbound.content_length != 0 else None
            outbound = sender.forwarder.prepare(inbound, key, content)
            reply = await sender.send(outbound, key, x, made, self._deadline)
        except BaseException:
            x.phase = "waiting" if body.complete or not inbound.content_length else "request"
            raise
        finally:
            x.upstream_seconds = (x.upstream_seconds or 0.0) + perf_counter() - began
        x.upstream_status = reply.status
        return reply

    async def _with_another_key(self, key: Key, reply: Reply) -> Reply:
        """The reply to the tenant's other or newer key. Raises `key_rejected` if there is none."""
        await reply.body.aclose()
        other = await self._services.vault.rejected(key)
        if other is not None and self._body.replayable:
            reply = await self._attempt(other, reply.attempts)
            if reply.status != 401:
                return reply
            await reply.body.aclose()
            await self._services.vault.rejected(other)
        raise GatewayFault("key_rejected")
