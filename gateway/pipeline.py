"""ONE REQUEST: who calls, may they, with which key, send it on, report what happened.

Every step takes what the step before it returned, so nothing is sent without a grant and a key; and
every exchange, however it ends, is reported exactly once.
"""

import asyncio
from collections.abc import Callable
from math import inf
from time import perf_counter, time

from gateway.asgi import Receive, Scope, Send
from gateway.attempts import Attempts
from gateway.errors import CallerError, GatewayError, GatewayFault
from gateway.events import Emit, ExchangeEnded, Noticed
from gateway.identity.authenticator import SigningKeyNeeded
from gateway.inbound import Head, InboundBody, begin_exchange, body_too_large, read_inbound
from gateway.model import Caller, Exchange, Grant
from gateway.observe.logs import describe_exception
from gateway.policy.grants import OperationDenied
from gateway.relay import Answer, cut, within
from gateway.services import Services


class Pipeline:
    """The ASGI application of the callers' listener."""

    def __init__(self, services: Services, new_request_id: Callable[[], str], emit: Emit) -> None:
        self._services = services
        self._new_request_id = new_request_id
        self._emit = emit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        x = begin_exchange(scope["headers"], self._new_request_id, self._services.tracer)
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
        try:
            await self._serve(x, scope, receive, answer)
        except GatewayError as error:
            await answer.refuse(error)
        except Exception as error:  # noqa: BLE001 - our own defect: logged; its text is never shown
            fields = {"request_id": x.request_id} | describe_exception(error)
            self._emit(Noticed("internal_error", "error", fields))
            await answer.refuse(GatewayFault("internal_error"))

    async def _serve(self, x: Exchange, scope: Scope, receive: Receive, answer: Answer) -> None:
        head = read_inbound(scope, x.request_id, self._services.sender.forwarder.authority)
        x.method, x.peer = head.inbound.method, head.inbound.peer.address
        x.trace_id = head.trace_id or x.trace_id
        x.step("authenticate")
        caller = await self._authenticate(x, head)
        x.step("authorize")
        grant = self._authorize(x, head, caller)
        x.waited_seconds += await self._services.count(grant)
        body = InboundBody(receive, self._services.max_body)
        permit = self._services.permits.acquire(grant.tenant)
        try:
            if head.timeout is None:
                attempts = Attempts(self._services, x, head.inbound, body, inf)
                await self._forward(attempts, grant, answer)
            else:
                deadline = perf_counter() + head.timeout
                attempts = Attempts(self._services, x, head.inbound, body, deadline)
                async with within(head.timeout):
                    await self._forward(attempts, grant, answer)
        finally:
            permit.release()
            x.bytes_in = body.received

    async def _authenticate(self, x: Exchange, head: Head) -> Caller:
        """The caller; waits only if an issuer's keys must be fetched first."""
        services, inbound, shown = self._services, head.inbound, head.credential
        try:
            try:
                caller = services.authenticator.authenticate(inbound, shown, time())
            except SigningKeyNeeded as needed:
                await services.authenticator.fetch_keys(needed)
                x.waited_seconds += perf_counter() - x.started
                # By now the configuration, or the time, may say otherwise.
                caller = services.authenticator.authenticate(inbound, shown, time())
        except CallerError as error:
            if error.key == "unauthenticated" and inbound.proxy_form:
                error.status = 407  # RFC 9110 15.5.8: a proxy asks with its own status
            raise
        x.caller, x.by = caller.name, caller.by
        return caller

    def _authorize(self, x: Exchange, head: Head, caller: Caller) -> Grant:
        """The grant: checks tenant, operation and size, in this order."""
        services, inbound = self._services, head.inbound
        tenant = services.grants.tenant_of(caller, head.tenant_headers)
        services.vault.require(tenant)
        try:
            grant = services.grants.grant(caller, tenant, inbound.method, inbound.path)
        except OperationDenied as denied:
            decision = denied.decision
            x.operation, x.route, x.rule = decision.operation, decision.route, decision.rule
            raise
        x.operation, x.route, x.rule = grant.operation, grant.route, grant.rule
        if services.max_body and (inbound.content_length or 0) > services.max_body:
            raise body_too_large(services.max_body)
        if services.vault.has(grant.tenant):  # else the name is only what a client sent
            x.tenant = grant.tenant
        return grant

    async def _forward(self, attempts: Attempts, grant: Grant, answer: Answer) -> None:
        reply = await attempts.send(grant)
        try:
            await answer.relay(reply)
        finally:
            await reply.body.aclose()
