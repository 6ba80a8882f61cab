"""Which key, and send: the tenant's key first, its other one if Invopop rejects that.

Law: nothing is sent without the grant's own tenant's key. A request goes out a second time only
with another key, after Invopop refused the first, and only if its body can be replayed.
"""

from time import perf_counter

from gateway.errors import GatewayFault
from gateway.inbound import InboundBody
from gateway.model import Exchange, Grant, Inbound, Key, Reply
from gateway.services import RecordBeforeSend, Services
from gateway.vault.key_ring import KeyNeeded


class Attempts:
    """Takes a grant to a reply."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def send(self, x: Exchange, inbound: Inbound, grant: Grant, body: InboundBody) -> Reply:
        """Invopop's reply, which the caller of this method must close.

        Raises `UpstreamError`, and `GatewayFault`: `circuit_open`, `key_unavailable`,
        `key_rejected`, `overloaded`, `audit_unavailable`.
        """
        self._services.sender.check(grant.tenant)
        x.step("key")
        key = await self._key(x, grant)
        x.step("")
        x.tenant, x.would_deny = grant.tenant, grant.would_deny  # let in: not before
        if inbound.content_length != 0:
            began = perf_counter()
            await body.prefetch()
            x.waited_seconds += perf_counter() - began
        reply = await self._attempt(x, inbound, key, body)
        if reply.status == 401:
            reply = await self._with_another_key(x, inbound, body, (key, reply))
        return reply

    async def _key(self, x: Exchange, grant: Grant) -> Key:
        vault = self._services.vault
        try:
            return vault.key(grant.tenant)
        except KeyNeeded:
            began = perf_counter()
            key = await vault.read(grant.tenant, grant.caller)
            x.waited_seconds += perf_counter() - began
            return key

    async def _recorded(self, x: Exchange, record_before_send: RecordBeforeSend) -> None:
        """Goes on once it is on record which key is to be used. Raises `audit_unavailable`."""
        began = perf_counter()
        try:
            await record_before_send(x)
        finally:
            x.waited_seconds += perf_counter() - began

    async def _attempt(self, x: Exchange, inbound: Inbound, key: Key, body: InboundBody) -> Reply:
        sender = self._services.sender
        x.key_fingerprint, x.key_slot = key.fingerprint, key.slot
        if self._services.record_before_send is not None:
            await self._recorded(x, self._services.record_before_send)
        began = perf_counter()
        if not x.attempts:
            x.overhead_seconds = began - x.started - x.waited_seconds
        x.phase = "waiting"
        try:
            content = body if inbound.content_length != 0 else None
            outbound = sender.forwarder.prepare(inbound, key, content)
            reply = await sender.send(outbound, key, x)
        except BaseException:
            x.phase = "waiting" if body.complete or not inbound.content_length else "request"
            raise
        finally:
            x.upstream_seconds = (x.upstream_seconds or 0.0) + perf_counter() - began
        x.upstream_status = reply.status
        return reply

    async def _with_another_key(
        self, x: Exchange, inbound: Inbound, body: InboundBody, refused: tuple[Key, Reply]
    ) -> Reply:
        """The reply to the tenant's other or newer key. Raises `key_rejected` if there is none."""
        key, reply = refused
        await reply.body.aclose()
        other = await self._services.vault.rejected(key)
        if other is not None and body.replayable:
            reply = await self._attempt(x, inbound, other, body)
            if reply.status != 401:
                return reply
            await reply.body.aclose()
            await self._services.vault.rejected(other)
        raise GatewayFault("key_rejected", "Invopop rejected this tenant's key.")
