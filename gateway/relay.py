"""Answers to the caller: Invopop's reply chunk by chunk, or an error of our own.

Law: a reply that fails after its head was passed on is cut off, never completed as if whole.
"""

from asyncio import CancelledError, timeout
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

from gateway.asgi import Send
from gateway.errors import GatewayError, GatewayFault, problem
from gateway.model import CALLER_STALLED, DRAIN_CUT, Exchange, Headers, Reply

LEFT: Final = 499  # the status of an exchange whose caller left before the end of its reply


async def relay(reply: Reply, x: Exchange, send: Send) -> None:
    """Passes a reply on as it arrives; waiting in `send` is the back-pressure.

    Raises whatever the body raises. The caller of this function closes the reply.
    """
    head_received = perf_counter()
    x.status = reply.status
    x.phase = "response"
    headers = reply.headers + _attempts(x)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    whole = reply.body.ready
    if whole is None:
        x.overhead_seconds += perf_counter() - head_received
        async for chunk in reply.body:
            x.bytes_out += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    x.bytes_out = len(whole)
    await send({"type": "http.response.body", "body": whole, "more_body": False})
    x.overhead_seconds += perf_counter() - head_received


async def refuse(error: GatewayError, x: Exchange, send: Send) -> None:
    """Answers with an error of the gateway's own.

    Raises it again where a head was sent already: then the server cuts the connection.
    """
    x.error = error.key
    if x.trace is not None:
        x.trace.leave(error.key)
    x.cause = x.cause or error.cause
    if x.phase == "response":
        raise error
    headers, body = problem(error, x.request_id)
    headers += _attempts(x)
    x.status = error.status
    x.bytes_out = 0 if x.method == "HEAD" else len(body)
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _attempts(x: Exchange) -> Headers:
    """What tells a caller that its request may have been at work more than once."""
    return [(b"x-gateway-attempts", b"%d" % x.attempts)] if x.attempts > 1 else []


def cut(x: Exchange, reason: CancelledError) -> None:
    """Notes why an exchange was broken off: the caller left or stalled, or the drain's end."""
    message = reason.args[0] if reason.args else ""
    if message == DRAIN_CUT:
        x.cause = "drain_timeout"
        x.status = x.status or 503
        return
    x.cause = "caller_stalled" if message == CALLER_STALLED else "caller_left"
    x.status = LEFT


@asynccontextmanager
async def within(seconds: float, x: Exchange) -> AsyncIterator[None]:
    """Bounds all of an exchange: 504 if its head is not out yet, else the reply is cut."""
    x.deadline = perf_counter() + seconds
    try:
        async with timeout(seconds):
            yield
    except TimeoutError:
        detail = "The time that X-Request-Timeout allows is over."
        raise GatewayFault("upstream_timeout", detail, cause="deadline") from None
