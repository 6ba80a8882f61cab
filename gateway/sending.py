"""What all attempts have in common, wherever they go: waits, the record in front, judging again.

Rule: after a wait nothing is sent unless all that was decided before it is still in force.
"""

from time import perf_counter

from gateway.admission import Admission
from gateway.inbound import InboundBody
from gateway.model import Exchange, Grant, Key, Reply, Superseded
from gateway.services import RecordBeforeSend, Services
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
        self._waited = services.shared_rates is not None

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

    async def _admitted(self) -> None:
        """The request may be sent: waits for its body, as far as an attempt needs it."""
        x = self._x
        x.tenant, x.would_deny = self._grant.tenant, self._grant.would_deny  # no sooner
        if self._inbound.content_length != 0:
            self._waited = True
            began = perf_counter()
            await self._body.prefetch()
            x.waited_seconds += perf_counter() - began

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
            try:
                return await self._send(made)
            except Superseded as superseded:
                self._waited = True
                made = superseded.attempts

    async def _recorded(self, record_before_send: RecordBeforeSend) -> None:
        """Returns once it is on record what is to be sent. Raises `audit_unavailable`."""
        x, key, began = self._x, self._key_to_send(), perf_counter()
        if key is not None:
            x.key_fingerprint, x.key_slot = key.fingerprint, key.slot
        try:
            await record_before_send(x)
        finally:
            x.waited_seconds += perf_counter() - began

    async def _send(self, made: int) -> Reply:
        x, inbound, body, sender = self._x, self._inbound, self._body, self._sender
        key = self._key_to_send()
        if key is not None:
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
