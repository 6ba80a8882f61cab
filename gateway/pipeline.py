"""ONE REQUEST: who calls, may they, with which key, send it on, report what happened.

Every step takes what the step before it returned, so nothing is sent without a grant and a key; and
every exchange, however it ends, is reported exactly once.
"""

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic, perf_counter

from gateway.admission import Admission
from gateway.asgi import Receive, Scope, Send
from gateway.attempts import Attempts
from gateway.errors import GatewayError, GatewayFault
from gateway.events import Emit, ExchangeEnded, Noticed
from gateway.file_attempts import FileAttempts
from gateway.inbound import begin_exchange, read_inbound
from gateway.inbound_body import InboundBody
from gateway.model import Exchange, Grant
from gateway.observe.logs import describe_exception
from gateway.relay import Answer, Within, cut
from gateway.sending import Sending
from gateway.services import Services
from gateway.tunnels import open_tunnel


class Pipeline:
    """The ASGI application of the callers' listener."""

    def __init__(self, services: Services, new_request_id: Callable[[], str], emit: Emit) -> None:
        self._services = services
        self._new_request_id = new_request_id
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        x = begin_exchange(scope, self._new_request_id, self._services.tracer)
        try:
            await self._answer(x, scope, receive, Answer(x, send))
        except asyncio.CancelledError as reason:  # the caller left, or the drain's time is over
            cut(x, reason)
            raise
        finally:
            x.seconds = perf_counter() - x.started
            self._emit(ExchangeEnded(x))

    async def _answer(self, x: Exchange, scope: Scope, receive: Receive, answer: Answer) -> None:
        """Serves the request, or answers with an error; raises it only where that is too late."""
        refused: GatewayError
        try:
            if scope["method"] == "CONNECT":
                await open_tunnel(self._services, x, scope, answer.send)
            else:
                await self._serve(x, scope, receive, answer)
        except GatewayError as error:
            refused = error
        except Exception as defect:  # noqa: BLE001 - our own: logged; its text is never shown
            fields = {"request_id": x.request_id} | describe_exception(defect)
            self._emit(Noticed("internal_error", "error", fields))
            refused = GatewayFault("internal_error")
        else:
            return
        # Whoever is refused as fast as it asks takes turns, too; strangers share those of one.
        if not x.attempts and not self._services.turns.begin():
            await self._services.turns.turn_of(x.caller)
        await answer.refuse(refused)

    async def _serve(self, x: Exchange, scope: Scope, receive: Receive, answer: Answer) -> None:
        services = self._services
        upstream, files = services.sender.forwarder.authority, services.files.names
        head = read_inbound(scope, x.request_id, upstream, files)
        admission = Admission(services, x, head)
        grant = await admission.admit()
        if not services.turns.begin():
            await services.turns.turn_of(grant.caller)
            grant = await admission.after_wait(grant)
        if services.shared_rates is None:
            services.rates.take(grant.caller, grant.tenant, monotonic())
        else:
            x.waited_seconds += await services.count_shared(services.shared_rates, grant)
            grant = await admission.after_wait(grant)
        body = InboundBody(receive, services.max_body)
        permit = services.permits.acquire((grant.tenant, grant.caller))
        attempts_at = FileAttempts if head.inbound.file_host else Attempts
        try:
            if head.timeout is None:
                attempts = attempts_at(services, x, admission, body, inf)
                await self._forward(attempts, grant, answer)
            else:
                deadline = perf_counter() + head.timeout
                attempts = attempts_at(services, x, admission, body, deadline)
                async with Within(head.timeout):
                    await self._forward(attempts, grant, answer)
        finally:
            permit.release()
            x.bytes_in = body.received

    async def _forward(self, attempts: Sending, grant: Grant, answer: Answer) -> None:
        reply, failure = await attempts.send(grant), None
        try:
            await answer.relay(reply)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failure = error
        await reply.body.aclose()
        if failure is not None:
            raise failure
