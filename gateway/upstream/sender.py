"""The sender: a request is attempted, through the circuit breaker, until an outcome stands.

Acts on what `retry` and `breaker` decide; decides nothing. One attempt is made at a time, and a
reply that is not kept is closed before the next.
"""

from asyncio import sleep
from dataclasses import replace
from math import inf
from time import perf_counter, time

from gateway.errors import GatewayError, UpstreamError
from gateway.events import CircuitChanged, Emit, UpstreamFailed, UpstreamRetried
from gateway.model import Exchange, Key, Outbound, Reply
from gateway.shares import Party
from gateway.trace import Trace
from gateway.upstream.breaker import FAILING_STATUSES, Breaker
from gateway.upstream.connection import StaleConnectionError
from gateway.upstream.edge import EDGE_REFUSED, refused_by_edge
from gateway.upstream.failures import Superseded
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.retry import (
    STALE,
    STATUSES,
    AttemptOutcome,
    Retries,
    Retry,
    Tried,
    failed,
    replied,
)


class Sender:
    """Sends what `forwarder` has prepared, through it."""

    def __init__(
        self, forwarder: Forwarder, retries: Retries, breaker: Breaker, emit: Emit
    ) -> None:
        self.forwarder = forwarder
        self._retries = retries
        self._breaker = breaker
        self._emit = emit

    @property
    def circuit_open(self) -> bool:
        """Whether requests are refused at once."""
        return self._breaker.open

    def check(self, party: Party) -> None:
        """Raises GatewayFault("circuit_open") while requests are refused at once."""
        self._breaker.check(party, perf_counter())

    async def send(
        self,
        outbound: Outbound,
        key: Key | None,
        x: Exchange,
        made: int = 0,
        deadline: float = inf,
    ) -> Reply:
        """The reply that stands, its head there. Its body's `aclose` must be awaited in the end.

        Its body is iterated from its start for each attempt.
        `made` attempts at the same request were made before. None is repeated after `deadline`
        (`time.perf_counter()`). Raises UpstreamError, GatewayFault, Superseded, or what the
        outbound body raises.
        """
        self._retries.request(perf_counter())
        while True:
            made += 1
            try:
                if x.trace is None:
                    reply = await self._attempt(outbound, key, x)
                else:
                    reply = await self._traced(outbound, key, x, x.trace)
            except Superseded:
                raise Superseded(made - 1) from None
            except UpstreamError as error:
                kind = STALE if isinstance(error, StaleConnectionError) else error.kind
                outcome = failed(kind, sent=error.sent)
                retry = self._retry(outbound, outcome, made, deadline)
                if retry is None:
                    raise
                x.took_effect = x.took_effect or error.sent
                if kind == STALE:  # the others that were kept may be closed as well
                    outbound = replace(outbound, fresh=True)
            else:
                reply.attempts = made
                if reply.status not in STATUSES:
                    return reply
                outcome = replied(reply.status, reply.headers, time())
                retry = self._retry(outbound, outcome, made, deadline)
                if retry is None:
                    return reply
                x.took_effect = x.took_effect or reply.status != 429
                await reply.body.aclose()
            await self._back_off(outbound, retry, made)

    def broke_off(self, error: UpstreamError, party: Party, request_id: str) -> None:
        """A reply's body ended in an error: the attempt, recorded as good, has failed after all."""
        self._emit(UpstreamFailed(error.kind, request_id))
        self._report(self._breaker.broke_off(party, perf_counter()))

    async def _back_off(self, outbound: Outbound, retry: Retry, made: int) -> None:
        """Waits for the next attempt. Raises `Superseded` if it may not be sent as it is."""
        await sleep(retry.after)
        if outbound.in_force is not None and not outbound.in_force():
            raise Superseded(made)
        self._emit(UpstreamRetried(retry.reason))

    async def _traced(
        self, outbound: Outbound, key: Key | None, x: Exchange, trace: Trace
    ) -> Reply:
        """One attempt as a span, which is the parent of the spans that Invopop makes."""
        span = trace.attempt(self.forwarder.authority)
        if outbound.lines is None:
            outbound = replace(outbound, headers=trace.outward(outbound.headers, span))
        else:
            outbound = replace(outbound, lines=trace.outward_lines(outbound.lines, span))
        failure = "cancelled"
        try:
            reply = await self._attempt(outbound, key, x)
            span.status, failure = reply.status, ""
        except UpstreamError as error:
            failure = error.kind
            raise
        except GatewayError as fault:
            failure = fault.key
            raise
        finally:
            span.end(failure)
        return reply

    async def _attempt(self, outbound: Outbound, key: Key | None, x: Exchange) -> Reply:
        """One attempt. The breaker counts only what says something about Invopop."""
        breaker, party = self._breaker, outbound.party
        probe = breaker.admit(party, perf_counter())
        x.attempts += 1
        try:
            reply = await self.forwarder.send(outbound, key, x.request_id)
        except BaseException as error:
            if isinstance(error, UpstreamError) and not isinstance(error, StaleConnectionError):
                self._report(breaker.record(party, perf_counter(), False, probe))
            else:  # a connection that was closed while idle, as everyone may do, or our own doing
                breaker.release(probe)
                if isinstance(error, Superseded):  # nothing was sent
                    x.attempts -= 1
            raise
        reply.sender, reply.party = self, party
        ok = reply.status not in FAILING_STATUSES
        self._report(breaker.record(party, perf_counter(), ok, probe))
        if reply.status == 403 and await refused_by_edge(reply):
            x.cause = EDGE_REFUSED
            self._emit(UpstreamFailed(EDGE_REFUSED, x.request_id))
        return reply

    def _retry(
        self, outbound: Outbound, outcome: AttemptOutcome, made: int, deadline: float
    ) -> Retry | None:
        if self._breaker.open:  # another attempt would be refused: this outcome is better
            return None
        body, now = outbound.body, perf_counter()
        replayable = body is None or body.replayable
        tried = Tried(
            method=outbound.method,
            attempts=made,
            replayable=replayable,
            outcome=outcome,
            patience=deadline - now,
        )
        return self._retries.next(tried, now)

    def _report(self, change: CircuitChanged | None) -> None:
        if change is not None:
            forwarder = self.forwarder
            host = forwarder.authority.host_field.decode("ascii") if forwarder.keyless else ""
            self._emit(change._replace(file_host=host))
