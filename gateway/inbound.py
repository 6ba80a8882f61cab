"""What the caller sent, as values: `read_inbound` for the head, `InboundBody` for the body.

The head is checked here before anything else looks at it; the body is read once, on demand, never
held whole, and never past its limit.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from itertools import count
from time import perf_counter
from typing import Final, NamedTuple

from gateway.asgi import CONTENT_LENGTH, PEER, TARGET, TUNNEL, Receive, Scope
from gateway.errors import CallerError
from gateway.framing import compact
from gateway.identity.credentials import is_credential
from gateway.model import CALLER_LEFT, CREDENTIAL_FIELDS, Exchange, Headers, Inbound, Tunnel
from gateway.observe.tracing import Tracer
from gateway.trace import TraceContext, context_of
from gateway.upstream.headers import has_own_via
from gateway.upstream.target import (
    METHODS,
    Authority,
    FileHostNames,
    Target,
    resolve,
    resolve_file,
)

REPLAY_LIMIT: Final = 64 * 1024  # bytes of a body that are kept so that it can be sent again
_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_SECONDS: Final = re.compile(rb"[0-9]{1,6}(\.[0-9]{1,6})?")
_READ_HERE: Final = frozenset(
    {
        *CREDENTIAL_FIELDS,
        b"x-invopop-tenant",
        b"x-request-timeout",
        b"via",
        b"traceparent",
    }
)


class Head(NamedTuple):
    """A valid request head: the request, its credentials, and what it asks of this gateway.

    `credential` counts; `unread` are others that stand beside it. `timeout` is
    `X-Request-Timeout` in seconds, or None.
    """

    inbound: Inbound
    credential: bytes | None
    unread: tuple[bytes, ...]
    tenant_headers: tuple[bytes, ...]
    timeout: float | None
    trace: TraceContext | None


class RequestIds:
    """Makes new request ids, 32 hex digits: 64 random bits of this process, then a count.

    They need no system call each, as `uuid4` would.
    """

    def __init__(self) -> None:
        self._process = os.urandom(8).hex()
        self._count = count(1)

    def __call__(self) -> str:
        return f"{self._process}{next(self._count):016x}"


def request_id_of(headers: Headers, fresh: Callable[[], str], tunnel: Tunnel | None = None) -> str:
    """The caller's `X-Request-Id` if it is 1 to 128 visible ASCII characters, else a fresh one.

    It is logged, so one that holds the caller's credential is not taken either.
    """
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            shown = headers
            if tunnel is not None and tunnel.credential is not None:
                shown = [*headers, (b"proxy-authorization", tunnel.credential)]
            return fresh() if is_credential(value, shown) else value.decode("ascii")
    return fresh()


def begin_exchange(scope: Scope, fresh: Callable[[], str], tracer: Tracer | None) -> Exchange:
    """The record of a request that begins now, traced if it is to be.

    It names the peer and the method before anything can refuse the request.
    """
    headers: Headers = scope["headers"]
    extensions = scope["extensions"]
    x = Exchange(perf_counter(), request_id_of(headers, fresh, extensions.get(TUNNEL)))
    x.peer = extensions[PEER].address
    if scope["method"] in METHODS:
        x.method = scope["method"]
    if tracer is not None:
        tracer.begin(x, headers)
    return x


def read_inbound(
    scope: Scope, request_id: str, upstream: Authority, files: FileHostNames | None = None
) -> Head:
    """Checks the request head and returns its parts.

    What the server has checked is not looked at again: framing, `Expect`, and that a field of its
    own kind occurs once. Raises `CallerError`: `method_not_allowed`, `bad_request`, `misdirected`,
    or `loop_detected`, in the documented order.
    """
    method: str = scope["method"]
    headers: Headers = scope["headers"]
    extensions = scope["extensions"]
    tunnel: Tunnel | None = extensions.get(TUNNEL)
    if tunnel is None:
        found = resolve(method, extensions[TARGET], upstream, files)
    else:
        found = _inside(tunnel, method, extensions[TARGET], upstream, files)
    target, path, proxy_form, file_host = found
    seen: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _READ_HERE:
            seen.setdefault(name, []).append(value)
    timeout = _timeout(seen[b"x-request-timeout"]) if b"x-request-timeout" in seen else None
    if b"via" in seen and has_own_via(headers):
        raise CallerError("loop_detected", "This request has already passed through the gateway.")
    inbound = Inbound(
        method=method,
        target=target,
        path=path,
        headers=headers,
        peer=extensions[PEER],
        content_length=extensions[CONTENT_LENGTH],
        request_id=request_id,
        proxy_form=proxy_form,
        file_host=file_host,
        tunnelled=tunnel is not None,
    )
    credentials = [seen[name][0] for name in CREDENTIAL_FIELDS if name in seen]
    if tunnel is not None and tunnel.credential is not None:
        credentials.insert(0, tunnel.credential)  # what is inside is the client's own for Invopop
    trace = context_of(seen[b"traceparent"]) if b"traceparent" in seen else None
    return Head(
        inbound=inbound,
        credential=credentials[0] if credentials else None,
        unread=tuple(credentials[1:]),
        tenant_headers=tuple(seen.get(b"x-invopop-tenant", ())),
        timeout=timeout,
        trace=trace,
    )


def _inside(
    tunnel: Tunnel,
    method: str,
    target: bytes,
    upstream: Authority,
    files: FileHostNames | None,
) -> Target:
    """What a request through a tunnel asks of the tunnel's host, if that is still configured."""
    known = (files or {}).values() if tunnel.of_files else (upstream.host_field,)
    if tunnel.host not in known:
        raise CallerError("misdirected", "The tunnel's host is not configured any more.")
    if tunnel.of_files:
        return resolve_file(method, target, tunnel.host)
    origin_form = target[:1] == b"/"
    found = resolve(method, target, upstream, files if origin_form else None)
    return found if origin_form else found._replace(proxy_form=False)


def _timeout(values: list[bytes]) -> float:
    if len(values) == 1 and _SECONDS.fullmatch(values[0]) and float(values[0]) > 0:
        return float(values[0])
    raise CallerError("bad_request", "X-Request-Timeout must be one positive number of seconds.")


def body_too_large(limit: int) -> CallerError:
    """The answer to a body that is, or says that it is, longer than `limit` bytes."""
    return CallerError("body_too_large", f"A body may have at most {limit} bytes.")


class InboundBody:
    """A request's body as it arrives; it can be iterated again while `replayable`.

    Bytes are counted in `received`. Raises `CallerError`: `body_too_large` past `limit` bytes
    (0 = none), and whatever the server found wrong with its framing or its pace.
    """

    __slots__ = ("_begun", "_kept", "_limit", "_receive", "complete", "received")

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._kept: list[bytes] | None = []
        self._begun = False
        self.complete = False
        self.received = 0

    @property
    def replayable(self) -> bool:
        """Whether all that was read so far is still here, to be sent (again)."""
        return self._kept is not None

    @property
    def ready(self) -> bytes | None:
        """The whole body, where it is complete and may be kept: it needs no iteration."""
        if not self.complete or self._kept is None or self.received > REPLAY_LIMIT:
            return None
        return self._kept[0] if len(self._kept) == 1 else b"".join(self._kept)

    async def prefetch(self) -> None:
        """Waits until the body is complete, or `REPLAY_LIMIT` of it are here.

        So a caller that is slow to send occupies no connection to Invopop meanwhile, and a small
        body can leave together with its head.
        """
        while not self.complete and self.received < REPLAY_LIMIT:
            await self.read()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Reading(self, self._take())

    def _take(self) -> list[bytes]:
        """What was read so far; more than `REPLAY_LIMIT` is given out once only."""
        if self._kept is None:
            raise RuntimeError("a body that was not kept cannot be sent again")
        self._begun = True
        taken = self._kept.copy()
        if self.received > REPLAY_LIMIT:
            self._kept = None
        return taken

    async def read(self) -> bytes:
        """The next bytes from the caller; b"" only at the end."""
        while not self.complete:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise asyncio.CancelledError(CALLER_LEFT)
            chunk: bytes = message.get("body", b"")
            self.complete = not message.get("more_body", False)
            if chunk:
                self._count(chunk)
                return chunk
        return b""

    def _count(self, chunk: bytes) -> None:
        self.received += len(chunk)
        if self._limit and self.received > self._limit:
            raise body_too_large(self._limit)
        if self._kept is not None:
            if self._begun and self.received > REPLAY_LIMIT:
                self._kept = None
            else:
                self._kept.append(chunk)
                compact(self._kept)


class _Reading:
    """One iteration over a body. A class because mypyc does not compile async generators."""

    __slots__ = ("_body", "_taken")

    def __init__(self, body: InboundBody, taken: list[bytes]) -> None:
        self._body = body
        self._taken = taken
        taken.reverse()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._taken:
            return self._taken.pop()
        chunk = await self._body.read()
        if not chunk:
            raise StopAsyncIteration
        return chunk
