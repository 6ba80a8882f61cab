"""Which key, and send: the tenant's key first, its other one if Invopop rejects that.

Nothing is sent without the grant's own tenant's key, and after a wait only if grant and key are
still in force. A request goes out a second time only with another key, after Invopop rejected the
first, and only if its body can be replayed.
"""

from time import perf_counter

from gateway.admission import Admission
from gateway.errors import GatewayError, GatewayFault
from gateway.inbound_body import InboundBody
from gateway.invopop.operations import may_not_be_about_the_key
from gateway.model import Exchange, Grant, Key, Reply
from gateway.secret import stands_in
from gateway.sending import Sending
from gateway.services import Services
from gateway.vault.key_ring import KeyNeeded


class _NoOtherKeyError(Exception):
    """The key that was to be tried after a rejected one is not in force any more."""


class Attempts(Sending):
    """The attempts at one request to Invopop."""

    __slots__ = ("_key", "_rejected")

    _key: Key

    def __init__(
        self,
        services: Services,
        x: Exchange,
        admission: Admission,
        body: InboundBody,
        deadline: float,
    ) -> None:
        super().__init__(services, x, admission, body, deadline)
        self._rejected: Key | None = None

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
        if self._admitted():
            await self._prefetched()
        reply = await self._attempt(0)
        if reply.status == 401:
            return await self._refused(reply)
        return reply

    def _key_to_send(self) -> Key:
        return self._key

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

    async def _renew(self) -> None:
        """Raises `_NoOtherKeyError` if a key was rejected and there is no other by now."""
        self._sender = self._services.sender
        self._grant = await self._admission.renew(self._grant)
        self._key = await self._key_in_force()

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
        if may_not_be_about_the_key(self._inbound.path):
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

    async def _condemned(self, key: Key, reply: Reply) -> bool:
        """Whether Invopop rejects the key itself; if so, or if this fails, the reply is closed."""
        condemned, failure = True, None
        try:
            condemned = await self._services.vault.rejections.condemned(key)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failure = error
        if condemned:
            await reply.body.aclose()
        if failure is not None:
            raise failure
        return condemned


async def _without_key(reply: Reply, key: Key) -> Reply:
    """A 401 to be passed on; its headers have lost the key already.

    Raises `key_rejected` if the body, as far as it is here, quotes the key.
    """
    body = reply.body.ready
    if body is None or not stands_in(key.secret.ascii, body):
        return reply
    await reply.body.aclose()
    raise GatewayFault("key_rejected", cause="upstream_401")
