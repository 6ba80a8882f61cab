"""Sends a request to a file host: as the attempts at Invopop, but without any key.

Rule: no key is looked up, held or sent. After a wait the grant must still be in force.
"""

from time import perf_counter

from gateway.admission import Admission
from gateway.errors import CallerError
from gateway.inbound import InboundBody
from gateway.model import Exchange, Grant, Reply, Superseded
from gateway.services import Services
from gateway.upstream.file_hosts import with_own_location
from gateway.upstream.sender import Sender


class FileAttempts:
    """The attempts at one request. None begins after `deadline` (`time.perf_counter()`)."""

    __slots__ = (
        "_admission", "_body", "_deadline", "_grant", "_sender", "_services", "_waited", "_x",
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
        self._x = x
        self._admission = admission
        self._body = body
        self._deadline = deadline
        self._sender = services.files.senders[admission.head.inbound.file_host]
        self._waited = services.shared_rates is not None

    async def send(self, grant: Grant) -> Reply:
        """The file host's reply, which the caller of this method must close.

        Raises `UpstreamError`, and `GatewayFault`: `circuit_open`, `overloaded`,
        `audit_unavailable`; after a wait also `CallerError`.
        """
        x, inbound = self._x, self._admission.head.inbound
        self._grant = grant
        self._sender.check((grant.tenant, grant.caller))
        x.step("")
        x.tenant, x.would_deny = grant.tenant, grant.would_deny  # admitted: no sooner
        if inbound.content_length != 0:
            self._waited = True
            began = perf_counter()
            await self._body.prefetch()
            x.waited_seconds += perf_counter() - began
        reply = await self._attempt()
        reply.headers = with_own_location(reply.headers, inbound)
        return reply

    async def _attempt(self) -> Reply:
        record, made = self._services.record_before_send, 0
        while True:
            while self._waited and not self._in_force():
                self._sender = self._current_sender()
                self._grant = await self._admission.renew(self._grant)
            if record is not None:
                began = perf_counter()
                try:
                    await record(self._x)
                finally:
                    self._x.waited_seconds += perf_counter() - began
                self._waited = True
                if not self._in_force():
                    continue
            try:
                return await self._send(made)
            except Superseded as superseded:
                self._waited = True
                made = superseded.attempts

    def _in_force(self) -> bool:
        """Whether grant and file host are still those of this moment."""
        name = self._admission.head.inbound.file_host
        same = self._services.files.senders.get(name) is self._sender
        return same and self._admission.holds(self._grant)

    def _current_sender(self) -> Sender:
        sender = self._services.files.senders.get(self._admission.head.inbound.file_host)
        if sender is None:  # a reload took it away while the request waited
            raise CallerError("misdirected", "The file host is not configured any more.")
        return sender

    async def _send(self, made: int) -> Reply:
        x, inbound, body = self._x, self._admission.head.inbound, self._body
        began = perf_counter()
        if x.upstream_seconds is None:
            x.overhead_seconds = began - x.started - x.waited_seconds
        x.phase = "waiting"
        try:
            content = body if inbound.content_length != 0 else None
            party = (self._grant.tenant, self._grant.caller)
            forwarder = self._sender.forwarder
            outbound = forwarder.prepare(inbound, None, content, self._in_force, party)
            reply = await self._sender.send(outbound, None, x, made, self._deadline)
        except BaseException:
            x.phase = "waiting" if body.complete or not inbound.content_length else "request"
            raise
        finally:
            x.upstream_seconds = (x.upstream_seconds or 0.0) + perf_counter() - began
        x.upstream_status = reply.status
        return reply
