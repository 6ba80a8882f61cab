"""Answers to the caller: Invopop's reply chunk by chunk, or an error of our own.

A reply that fails after its head was passed on is cut off, never completed as if whole.
"""

from asyncio import CancelledError, timeout
from time import perf_counter
from types import TracebackType
from typing import Final

from gateway.asgi import CALLER, LINES, WHOLE, Send
from gateway.errors import GatewayError, GatewayFault, UpstreamError, error_response
from gateway.model import CALLER_SLOW, CALLER_STALLED, DRAIN_CUT, Exchange, Headers, Reply

# What Invopop answers to a request whose first attempt took effect though its reply was lost.
_OWN_DOING: Final = frozenset(
    {("PUT", 409), ("POST", 409), ("PATCH", 409), ("DELETE", 404), ("DELETE", 410), ("DELETE", 409)}
)
RETRIED: Final = (b"x-gateway-retried", b"earlier-attempt-may-have-succeeded")
LEFT: Final = 499  # the status of an exchange whose caller left before the end of its reply
_CAUSES: Final = {CALLER_STALLED: "caller_stalled", CALLER_SLOW: "caller_too_slow"}


class Answer:
    """The one answer to a request; what it is made of is recorded in the exchange."""

    __slots__ = ("_begun", "_x", "send")

    def __init__(self, x: Exchange, send: Send) -> None:
        self._x = x
        self.send = send
        self._begun = False

    async def relay(self, reply: Reply) -> None:
        """Passes a reply on as it arrives; waiting in `send` is the back-pressure.

        Raises whatever the body raises; that it broke off is then reported to the reply's sender.
        The caller of this method closes the reply.
        """
        x, send = self._x, self.send
        head_received = perf_counter()
        x.status = reply.status
        x.phase = "response"
        self._begun = True
        headers, lines = reply.headers, reply.lines
        if x.attempts > 1:
            headers, lines = _with_attempts(headers, x.attempts), None
        if x.took_effect and (x.method, reply.status) in _OWN_DOING:
            headers, lines = [*headers, RETRIED], None
        whole = reply.body.ready
        await send(
            {
                "type": "http.response.start",
                "status": reply.status,
                "headers": headers,
                WHOLE: whole is not None,
                LINES: lines,
                CALLER: x.caller,
            }
        )
        if whole is None:
            x.overhead_seconds += perf_counter() - head_received
            await self._stream(reply)
            return
        x.bytes_out = len(whole)
        await send({"type": "http.response.body", "body": whole, "more_body": False})
        x.overhead_seconds += perf_counter() - head_received

    async def _stream(self, reply: Reply) -> None:
        x, send = self._x, self.send
        try:
            async for chunk in reply.body:
                x.bytes_out += len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except UpstreamError as error:
            reply.broke_off(error, x.request_id)
            raise
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def refuse(self, error: GatewayError) -> None:
        """Answers with an error of the gateway's own.

        Raises it again where a reply's head was passed on already: then the server cuts the
        connection.
        """
        x = self._x
        x.error = error.key
        if x.trace is not None:
            x.trace.leave(error.key)
        x.cause = x.cause or error.recorded_cause
        if self._begun:
            raise error
        headers, body = error_response(error, x.request_id)
        headers = _with_attempts(headers, x.attempts)
        x.status = error.status
        x.bytes_out = 0 if x.method == "HEAD" else len(body)
        await self.send(
            {
                "type": "http.response.start",
                "status": error.status,
                "headers": headers,
                CALLER: x.caller,
            }
        )
        await self.send({"type": "http.response.body", "body": body, "more_body": False})


def _with_attempts(headers: Headers, attempts: int) -> Headers:
    """Says so if the request was sent more than once: it may have taken effect more than once."""
    return headers if attempts < 2 else [*headers, (b"x-gateway-attempts", b"%d" % attempts)]


def cut(x: Exchange, reason: CancelledError) -> None:
    """Records why an exchange was broken off: the caller left or stalled, or the drain ended."""
    message = reason.args[0] if reason.args else ""
    if message == DRAIN_CUT:
        x.cause = "drain_timeout"
        x.status = x.status or 503
        return
    x.cause = _CAUSES.get(message, "caller_left")
    x.status = LEFT


class Within:
    """Limits an exchange as a whole: 504 if no head was sent yet, else the reply is cut off."""

    __slots__ = ("_timeout",)

    def __init__(self, seconds: float) -> None:
        self._timeout = timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError:
            detail = "The time in X-Request-Timeout is over; the request may have taken effect."
            raise GatewayFault("upstream_timeout", detail, cause="deadline") from None
