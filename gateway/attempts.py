"""Which key, and send: the tenant's key first, its other one if Invopop rejects that.

Nothing is sent without the grant's own tenant's key, and after a wait only if grant and key are
still in force. A request goes out a second time only with another key, after Invopop rejected the
first, and only if its body can be replayed.
"""

from time import perf_counter

from gateway.admission import Admission
from gateway.errors import GatewayError, GatewayFault
from gateway.inbound import InboundBody
from gateway.invopop.table import NOT_ABOUT_KEYS, NOT_ABOUT_KEYS_PATHS
from gateway.model import Exchange, Grant, Key, Reply, Superseded
from gateway.services import RecordBeforeSend, Services
from gateway.vault.key_ring import KeyNeeded


class _NoOtherKeyError(Exception):
    """The key that was to be tried after a rejected one is not in force any more."""


class Attempts:
    """The attempts at one request. None begins after `deadline` (`time.perf_counter()`)."""

    __slots__ = (
        "_admission", "_body", "_deadline", "_grant", "_inbound", "_key", "_rejected", "_sender",
        "_services", "_waited", "_x",
    )  # fmt: skip

    def __init__(
        self,
        services: Services,
        x: Exchange,
        admission: Admission,
        body: InboundBody,
        deadline: float,
    ) -> None:
        self._services = services
        self._sender = services.sender
        self._x = x
        self._admission = admission
        self._inbound = admission.head.inbound
        self._body = body
        self._deadline = deadline
        self._rejected: Key | None = None
        self._waited = services.shared_rates is not None

    async def send(self, grant: Grant) -> Reply:
        """Invopop's reply, which the caller of this method must close.

        Raises `UpstreamError`, and `GatewayFault`: `circuit_open`, `key_unavailable`,
        `key_rejected`, `overloaded`, `audit_unavailable`; after a wait also `CallerError`.
        """
        x = self._x
        self._grant = grant
        self._services.sender.check((grant.tenant, grant.caller))
        if x.trace is not None:
            x.step("key")
        self._key = await self._key_in_force()
        if x.trace is not None:
            x.step("")
        x.tenant, x.would_deny = grant.tenant, grant.would_deny  # admitted: no sooner
        if self._inbound.content_length != 0:
            self._waited = True
            began = perf_counter()
            await self._body.prefetch()
            x.waited_seconds += perf_counter() - began
        reply = await self._attempt(0)
        if reply.status == 401:
            return await self._refused(reply)
        return reply

    async def _key_in_force(self) -> Key:
        """The key to send with; waits if it must be read first."""
        vault, grant, rejected = self._services.vault, self._grant, self._rejected
        if rejected is not None:
            other = vault.rejections.alternative(rejected)
            if other is None:
                raise _NoOtherKeyError
            return other
        try:
            return vault.key(grant.tenant)
        except KeyNeeded:
            self._waited = True
            began = perf_counter()
            key = await vault.read(grant.tenant, grant.caller)
            self._x.waited_seconds += perf_counter() - began
            return key

    def _in_force(self) -> bool:
        """Whether grant and key are still those of this moment."""
        services, rejected = self._services, self._rejected
        if services.sender is not self._sender or not self._admission.holds(self._grant):
            return False
        try:
            if rejected is None:
                key: Key | None = services.vault.key(self._grant.tenant)
            else:
                key = services.vault.rejections.alternative(rejected)
        except (GatewayError, KeyNeeded):
            return False
        return key is self._key or (key is not None and key.secret == self._key.secret)

    async def _attempt(self, made: int) -> Reply:
        """The reply to the key in force; `made` attempts went before.

        Raises `_NoOtherKeyError` if one was rejected and there is no other by now.
        """
        record = self._services.record_before_send
        while True:
            if self._waited and not self._in_force():
                self._sender = self._services.sender
                self._grant = await self._admission.renew(self._grant)
                self._key = await self._key_in_force()
                continue
            if record is not None:
                await self._recorded(record)
                self._waited = True
                if not self._in_force():
                    continue  # on record is a key that will not be used
            try:
                return await self._send(made)
            except Superseded as superseded:
                self._waited = True
                made = superseded.attempts

    async def _recorded(self, record_before_send: RecordBeforeSend) -> None:
        """Returns once it is on record which key is to be used. Raises `audit_unavailable`."""
        x, key, began = self._x, self._key, perf_counter()
        x.key_fingerprint, x.key_slot = key.fingerprint, key.slot
        try:
            await record_before_send(x)
        finally:
            x.waited_seconds += perf_counter() - began

    async def _send(self, made: int) -> Reply:
        x, inbound, body, sender, key = self._x, self._inbound, self._body, self._sender, self._key
        x.key_fingerprint, x.key_slot = key.fingerprint, key.slot
        began = perf_counter()
        if x.upstream_seconds is None:
            x.overhead_seconds = began - x.started - x.waited_seconds
        x.phase = "waiting"
        try:
            content = body if inbound.content_length != 0 else None
            party = (self._grant.tenant, self._grant.caller)
            outbound = sender.forwarder.prepare(inbound, key, content, self._in_force, party)
            reply = await sender.send(outbound, key, x, made, self._deadline)
        except BaseException:
            x.phase = "waiting" if body.complete or inbound.content_length == 0 else "request"
            raise
        finally:
            x.upstream_seconds = (x.upstream_seconds or 0.0) + perf_counter() - began
        x.upstream_status = reply.status
        return reply

    async def _refused(self, reply: Reply) -> Reply:
        """What becomes of a 401: another key's reply, Invopop's 401, or `key_rejected`.

        A key is condemned only if Invopop also refuses it where nothing but the key matters.
        """
        rejections, key = self._services.vault.rejections, self._key
        second = await self._with_other_key(reply)
        if second is None:
            if not await self._condemned(key, reply):
                return await _without_key(reply, key)
            raise GatewayFault("key_rejected", cause="upstream_401")
        if second.status != 401:
            rejections.suspect(key)
            return second
        other = self._key
        first_rejected = await self._condemned(key, second)
        second_rejected = await self._condemned(other, second)
        if first_rejected and second_rejected:
            raise GatewayFault("key_rejected", cause="upstream_401")
        # The answer to the good key says what was wrong with the request.
        if first_rejected or reply.body.ready is None:
            return await _without_key(second, other)
        await second.body.aclose()
        return await _without_key(reply, key)

    async def _with_other_key(self, reply: Reply) -> Reply | None:
        """The reply to the tenant's other or newer key, if there is one and it may be tried.

        Then the first reply is closed, unless all of it is here. Raises `key_unavailable` if it
        turned out too late that there is none.
        """
        if self._may_be_about_something_else():
            return None
        other = await self._services.vault.rejections.other_key(self._key)
        if other is None or not self._body.replayable:
            return None
        if reply.body.ready is None:
            await reply.body.aclose()
        self._rejected, self._key, self._waited = self._key, other, True
        try:
            return await self._attempt(reply.attempts)
        except _NoOtherKeyError:
            self._key = self._rejected
            if reply.body.ready is None:
                raise GatewayFault("key_unavailable", headers=[(b"retry-after", b"1")]) from None
            return None

    def _may_be_about_something_else(self) -> bool:
        return self._grant.operation.startswith(NOT_ABOUT_KEYS) or self._inbound.path.startswith(
            NOT_ABOUT_KEYS_PATHS
        )

    async def _condemned(self, key: Key, reply: Reply) -> bool:
        """Whether Invopop rejects the key itself; if so, or if this fails, the reply is closed."""
        condemned = True
        try:
            condemned = await self._services.vault.rejections.condemned(key)
        finally:
            if condemned:
                await reply.body.aclose()
        return condemned


async def _without_key(reply: Reply, key: Key) -> Reply:
    """A 401 to be passed on; its headers have lost the key already.

    Raises `key_rejected` if the body, as far as it is here, quotes the key.
    """
    body = reply.body.ready
    if body is None or key.secret.reveal().encode("ascii") not in body:
        return reply
    await reply.body.aclose()
    raise GatewayFault("key_rejected", cause="upstream_401")
