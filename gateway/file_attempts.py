"""Sends a request to a file host: as the attempts at Invopop, but without any key.

Rule: no key is looked up, held or sent. After a wait the grant must still be in force.
"""

from gateway.admission import Admission
from gateway.errors import CallerError, GatewayError
from gateway.inbound_body import InboundBody
from gateway.model import Exchange, Grant, Reply
from gateway.sending import Sending
from gateway.services import Services
from gateway.upstream.file_hosts import with_own_location


class FileAttempts(Sending):
    """The attempts at one request of a file host's."""

    __slots__ = ()

    def __init__(
        self,
        services: Services,
        x: Exchange,
        admission: Admission,
        body: InboundBody,
        deadline: float,
    ) -> None:
        super().__init__(services, x, admission, body, deadline)
        self._sender = services.files.senders[self._inbound.file_host]

    async def send(self, grant: Grant) -> Reply:
        """The file host's reply, which the caller of this method must close.

        Raises `UpstreamError`, and `GatewayFault`: `circuit_open`, `overloaded`,
        `audit_unavailable`; after a wait also `CallerError`.
        """
        self._grant = grant
        try:
            self._sender.check((grant.tenant, grant.caller))
            if self._x.trace is not None:
                self._x.step("")
            if self._admitted():
                await self._prefetched()
            reply = await self._attempt(0)
        except GatewayError as error:
            error.file_host = self._inbound.file_host.decode("ascii")
            raise
        reply.headers = with_own_location(reply.headers, self._inbound)
        return reply

    def _key_to_send(self) -> None:
        return None

    def _in_force(self) -> bool:
        """Whether grant and file host are still those of this moment."""
        same = self._services.files.senders.get(self._inbound.file_host) is self._sender
        return same and self._admission.holds(self._grant)

    async def _renew(self) -> None:
        sender = self._services.files.senders.get(self._inbound.file_host)
        if sender is None:  # a reload took it away while the request waited
            raise CallerError("misdirected", "The file host is not configured any more.")
        self._sender = sender
        self._grant = await self._admission.renew(self._grant)
