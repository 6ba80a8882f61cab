"""What all attempts have in common, wherever they go: waits, the record in front, judging again.

Rule: after a wait nothing is sent unless all that was decided before it is still in force.
"""

from time import perf_counter

from gateway.admission import Admission
from gateway.inbound_body import InboundBody
from gateway.model import Exchange, Grant, Key, Outbound, Reply
from gateway.services import RecordBeforeSend, Services
from gateway.upstream.failures import Superseded
from gateway.upstream.sender import Sender


class Sending:
    """The attempts at one request. None begins after `deadline` (`time.perf_counter()`)."""

    __slots__ = (
        "_admission", "_body", "_deadline", "_grant", "_inbound", "_sender", "_services", "_waited",
        "_x",
    )  # fmt: skip

    _grant: Grant

    def __init__(
        self,
        services: Services,
        x: Exchange,
        admission: Admission,
        body: InboundBody,
        deadline: float,
    ) -> None:
        self._services = services
        self._sender: Sender = services.sender
        self._x = x
        self._admission = admission
        self._inbound = admission.head.inbound
        self._body = body
        self._deadline = deadline
        self._waited = False

    async def send(self, grant: Grant) -> Reply:
        """The reply, which the caller of this method must close."""
        raise NotImplementedError

    def _key_to_send(self) -> Key | None:
        """The key that was decided on, if one goes with the request."""
        raise NotImplementedError

    def _in_force(self) -> bool:
        """Whether all that was decided is still so at this moment."""
        raise NotImplementedError

    async def _renew(self) -> None:
        """Decides all of it anew, after it was not."""
        raise NotImplementedError

    def _admitted(self) -> bool:
        """The request may be sent, once `_prefetched` has returned if this is true."""
        x = self._x
        x.tenant, x.would_deny = self._grant.tenant, self._grant.would_deny  # no sooner
        return self._inbound.content_length != 0

    async def _prefetched(self) -> None:
        """Waits for the body, as far as an attempt needs it."""
        self._waited = True
        began = perf_counter()
        await self._body.prefetch()
        self._x.waited_seconds += perf_counter() - began

    async def _attempt(self, made: int) -> Reply:
        """The reply to what is in force; `made` attempts went before."""
        record = self._services.record_before_send
        while True:
            if self._waited and not self._in_force():
                await self._renew()
                continue
            if record is not None:
                await self._recorded(record)
                self._waited = True
                if not self._in_force():
                    continue  # on record is what will not be used
            x, key, began = self._x, self._key_to_send(), perf_counter()
            try:
                outbound = self._outbound(key, began)
                reply = await self._sender.send(outbound, key, x, made, self._deadline)
            except BaseException as error:
                whole = self._body.complete or self._inbound.content_length == 0
                x.phase = "waiting" if whole else "request"
                if not isinstance(error, Superseded):
                    raise
                self._waited = True
                made = error.attempts
            else:
                x.upstream_status = reply.status
                return reply
            finally:
                x.upstream_seconds = (x.upstream_seconds or 0.0) + perf_counter() - began

    async def _recorded(self, record_before_send: RecordBeforeSend) -> None:
        """Returns once it is on record what is to be sent. Raises `audit_unavailable`."""
        x, key, began = self._x, self._key_to_send(), perf_counter()
        if key is not None:
            x.key_fingerprint, x.key_slot = key.fingerprint, key.slot
        try:
            await record_before_send(x)
        finally:
            x.waited_seconds += perf_counter() - began

    def _outbound(self, key: Key | None, now: float) -> Outbound:
        """The request as it goes out now."""
        x, inbound, grant = self._x, self._inbound, self._grant
        if key is not None:
            x.key_fingerprint, x.key_slot = key.fingerprint, key.slot
        if x.upstream_seconds is None:
            x.overhead_seconds = now - x.started - x.waited_seconds
        x.phase = "waiting"
        body = self._body if inbound.content_length != 0 else None
        party = (grant.tenant, grant.caller)
        return self._sender.forwarder.prepare(inbound, key, body, self._in_force, party)
