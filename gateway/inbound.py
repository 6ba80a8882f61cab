"""What the caller's head says, as values; it is checked here before anything else looks at it."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from gateway.asgi import ARRIVED, CONTENT_LENGTH, KNOWN, PEER, TARGET, TUNNEL, Scope
from gateway.errors import CallerError
from gateway.framing import VISIBLE
from gateway.identity.credentials import is_credential, shortest_secret
from gateway.known_head import KnownRequest
from gateway.model import CREDENTIAL_FIELDS, Exchange, Headers, Inbound, Tunnel
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

_MOST_ID: Final = 128  # bytes of a request id
_IDS_OF_A_BLOCK: Final = tuple(f"{number:02x}" for number in range(256))
_SECONDS: Final = re.compile(rb"[0-9]{1,6}(\.[0-9]{1,6})?")
# Fields whose values decide something here.
DECIDING: Final = frozenset({*CREDENTIAL_FIELDS, b"x-invopop-tenant", b"x-request-timeout", b"via"})
_READ_HERE: Final = DECIDING | {b"traceparent"}


@dataclass(init=False, slots=True)
class Head:
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

    def __init__(  # noqa: PLR0913, PLR0917 - a generated one stays interpreted
        self, inbound: Inbound, credential: bytes | None, unread: tuple[bytes, ...],
        tenant_headers: tuple[bytes, ...], timeout: float | None, trace: TraceContext | None,
    ) -> None:  # fmt: skip
        self.inbound, self.credential, self.unread = inbound, credential, unread
        self.tenant_headers, self.timeout, self.trace = tenant_headers, timeout, trace


class RequestIds:
    """Makes new request ids, 32 hex digits: 64 random bits of this process, then a count.

    They need no system call each, as `uuid4` would, and all but two digits are formatted once in
    256 times.
    """

    def __init__(self) -> None:
        self._process = os.urandom(8).hex()
        self._block = f"{self._process}{0:014x}"
        self._count = 0

    def __call__(self) -> str:
        self._count += 1
        at = self._count % len(_IDS_OF_A_BLOCK)
        if at == 0:
            self._block = f"{self._process}{self._count // len(_IDS_OF_A_BLOCK):014x}"
        return self._block + _IDS_OF_A_BLOCK[at]


def request_id_of(
    headers: Headers,
    fresh: Callable[[], str],
    tunnel: Tunnel | None = None,
    known: KnownRequest | None = None,
) -> str:
    """The caller's `X-Request-Id` if it is 1 to 128 visible ASCII characters, else a fresh one.

    It is logged, so one that holds the caller's credential is not taken either.
    """
    if known is not None and tunnel is None:
        if known.id_at < 0:
            return fresh()
        value = headers[known.id_at][1]
        if len(value) < known.shortest and _is_request_id(value):
            return value.decode("ascii")
    for name, value in headers:
        if name == b"x-request-id" and _is_request_id(value):
            shown = headers
            if tunnel is not None and tunnel.credential is not None:
                shown = [*headers, (b"proxy-authorization", tunnel.credential)]
            return fresh() if is_credential(value, shown) else value.decode("ascii")
    return fresh()


def _is_request_id(value: bytes) -> bool:
    return 0 < len(value) <= _MOST_ID and not value.translate(None, VISIBLE)


def begin_exchange(scope: Scope, fresh: Callable[[], str], tracer: Tracer | None) -> Exchange:
    """The record of a request that begins now, traced if it is to be.

    It names the peer and the method before anything can refuse the request.
    """
    headers: Headers = scope["headers"]
    extensions = scope["extensions"]
    request_id = request_id_of(headers, fresh, extensions.get(TUNNEL), extensions.get(KNOWN))
    x = Exchange(extensions.get(ARRIVED) or perf_counter(), request_id)
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
    known: KnownRequest | None = extensions.get(KNOWN) if tunnel is None else None
    head = Head(
        Inbound(  # by position: keywords would cost half a percent of a request
            method,
            found.raw,
            found.path,
            headers,
            extensions[PEER],
            extensions[CONTENT_LENGTH],
            request_id,
            found.proxy_form,
            found.file_host,
            tunnel is not None,
            known,
        ),
        None,
        (),
        (),
        None,
        None,
    )
    if known is None or not known.was_read:
        _read_fields(head, tunnel)
        if known is not None:
            _remember(head, known)
        return head
    head.credential, head.unread = known.credential, known.unread
    head.timeout, head.tenant_headers = known.timeout, known.tenant_headers
    if known.trace_at >= 0:
        head.trace = context_of([headers[known.trace_at][1]])
    return head


def _read_fields(head: Head, tunnel: Tunnel | None) -> None:
    """What the fields ask of this gateway. Raises CallerError as `read_inbound` does."""
    headers = head.inbound.headers
    seen: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _READ_HERE:
            seen.setdefault(name, []).append(value)
    head.timeout = _timeout(seen[b"x-request-timeout"]) if b"x-request-timeout" in seen else None
    if b"via" in seen and has_own_via(headers):
        raise CallerError("loop_detected", "This request has already passed through the gateway.")
    credentials = [seen[name][0] for name in CREDENTIAL_FIELDS if name in seen]
    if tunnel is not None and tunnel.credential is not None:
        credentials.insert(0, tunnel.credential)  # what is inside is the client's own for Invopop
    head.credential = credentials[0] if credentials else None
    head.unread = tuple(credentials[1:])
    head.tenant_headers = tuple(seen.get(b"x-invopop-tenant", ()))
    head.trace = context_of(seen[b"traceparent"]) if b"traceparent" in seen else None


def _remember(head: Head, known: KnownRequest) -> None:
    known.was_read = True
    known.credential, known.unread = head.credential, head.unread
    known.timeout, known.tenant_headers = head.timeout, head.tenant_headers
    known.shortest = shortest_secret(head.inbound.headers)


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
    return found if origin_form else Target(found.raw, found.path, False, found.file_host)


def _timeout(values: list[bytes]) -> float:
    if len(values) == 1 and _SECONDS.fullmatch(values[0]) and float(values[0]) > 0:
        return float(values[0])
    raise CallerError("bad_request", "X-Request-Timeout must be one positive number of seconds.")
