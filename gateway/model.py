"""What a request becomes on its way: Inbound → Caller → Grant → Key → Outbound → Reply.

Each is made in one place and required by the next signature: nothing can be sent without a grant
and a key. `Exchange` is the record of it all; it ends as the event `ExchangeEnded`.
"""

import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from math import inf
from typing import Final, Literal, NamedTuple, Protocol

from gateway.errors import ErrorKey, UpstreamError
from gateway.known_head import KnownReply, KnownRequest, ReplyLines
from gateway.secret import Secret
from gateway.shares import Party
from gateway.trace import Trace, TraceContext

Headers = list[tuple[bytes, bytes]]

# Request fields that hold a caller's credential; the first one that is there decides. What is in
# this table may occur once only, is read as a credential, and is removed before anything is sent.
CREDENTIAL_FIELDS: Final[tuple[bytes, ...]] = (b"proxy-authorization", b"authorization")

# The server cancels a request's task with one of these messages; nothing else cancels it.
CALLER_LEFT: Final = "caller left"
CALLER_STALLED: Final = "caller does not read its reply"
CALLER_SLOW: Final = "caller reads its reply too slowly"
DRAIN_CUT: Final = "drain timeout"

IdentifiedBy = Literal["token", "jwt", "certificate", "network"]
"""How a caller was identified."""

# A tenant's name in full, and a caller's entry for several. Ours, and safe in a path or a label.
TENANT_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
TENANT_GLOB: Final = r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,127}"

SlotName = Literal["key", "previous"]
"""Which of a tenant's keys: the one in use, or the one that it replaces."""

Phase = Literal["request", "waiting", "response"]
"""How far an exchange has come: its request is received, Invopop is waited for, it is answered."""


class Peer(NamedTuple):
    """Who is at the other end of the caller's connection, as the server verified it.

    `address` is an IP address in text form, or "" for a Unix socket, whose peer has a `uid`.
    `uris` and `dns_names` are the SANs of a verified client certificate, which ends at `until`
    (Unix time, seconds); None without one.
    """

    address: str
    uid: int | None = None
    uris: tuple[str, ...] | None = None
    dns_names: tuple[str, ...] | None = None
    until: float = inf


class Tunnel(NamedTuple):
    """What a caller has opened by CONNECT: to which host, and how requests inside are judged.

    `host` is named as in `Host`; it is the upstream's, or a file host's. `credential` is the value
    that CONNECT showed, None if its caller was known without one. `context` ends the TLS inside.
    """

    host: bytes
    of_files: bool
    credential: bytes | None
    context: ssl.SSLContext


@dataclass(init=False, slots=True)
class Inbound:
    """A request as it came in, its framing and target found valid.

    `target` is the path and query that go upstream byte for byte; `path` is its part before `?`.
    Header names are lower-case, order and repeats kept. `content_length` is None for a chunked
    body and 0 without one. `proxy_form` marks an absolute-form target (RFC 9112 3.2.2). Of a file
    `file_host` is the name of the host that it goes to instead, and `path` is `/.files/HOST/PATH`.
    `tunnelled` marks a request that came through a tunnel. `known` is what its headers have in
    common with earlier ones of their connection.
    """

    method: str
    target: bytes
    path: bytes
    headers: Headers
    peer: Peer
    content_length: int | None
    request_id: str
    proxy_form: bool
    file_host: bytes
    tunnelled: bool
    known: KnownRequest | None

    def __init__(  # noqa: PLR0913, PLR0917 - a generated one stays interpreted
        self, method: str, target: bytes, path: bytes, headers: Headers, peer: Peer,
        content_length: int | None, request_id: str, proxy_form: bool, file_host: bytes = b"",
        tunnelled: bool = False, known: KnownRequest | None = None,
    ) -> None:  # fmt: skip
        self.method, self.target, self.path = method, target, path
        self.headers, self.peer, self.content_length = headers, peer, content_length
        self.request_id, self.proxy_form, self.file_host = request_id, proxy_form, file_host
        self.tunnelled, self.known = tunnelled, known


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated internal service. `tenant` is the one that its verified token names, if any.

    `by` is "" for one that is only asked about. `tenant_free` is false where the tenant must come
    from the token: then a header can only repeat it.
    """

    name: str
    by: IdentifiedBy | Literal[""]
    tenant: str | None = None
    tenant_free: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """Caller × tenant × operation, allowed. `rule` is the configuration's key path that decided.

    `would_deny` marks what only `enforce = false` let through.
    """

    caller: str
    tenant: str
    operation: str
    route: str
    rule: str
    would_deny: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A tenant's API key, ready to be sent."""

    tenant: str
    slot: SlotName
    secret: Secret

    @property
    def fingerprint(self) -> str:
        """Safe to log: the first 12 hex digits of the key's SHA-256."""
        return self.secret.fingerprint


class RequestBody(Protocol):
    """A request's body, which is iterated once for each attempt to send it."""

    @property
    def ready(self) -> bytes | None:
        """The whole body, if all of it is in memory: it then needs no iteration."""
        ...

    @property
    def replayable(self) -> bool:
        """Whether another iteration would give all of it again."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises CallerError where it breaks off."""
        ...


@dataclass(init=False, slots=True)
class Outbound:
    """A request as it goes out: with exactly one `authorization`, which holds a tenant's key.

    Its fields are `headers`, or, encoded already, `lines`, with a body of `length` bytes (None: it
    is chunked). Only to a file host there is no `authorization`. `fresh` asks for a connection that
    was not kept from an earlier exchange. Whoever has waited asks `in_force` right before sending
    it, and raises `Superseded` if it is false. `party` is empty for what the gateway itself asks.
    """

    method: str
    target: bytes
    headers: Headers
    body: RequestBody | None
    fresh: bool
    in_force: Callable[[], bool] | None
    party: Party
    lines: list[bytes] | None
    length: int | None

    def __init__(  # noqa: PLR0913, PLR0917 - a generated one stays interpreted
        self, method: str, target: bytes, headers: Headers, body: RequestBody | None,
        fresh: bool = False, in_force: Callable[[], bool] | None = None, party: Party = ("", ""),
        lines: list[bytes] | None = None, length: int | None = 0,
    ) -> None:  # fmt: skip
        self.method, self.target, self.headers = method, target, headers
        self.body, self.fresh, self.in_force = body, fresh, in_force
        self.party, self.lines, self.length = party, lines, length


class ReplyBody(Protocol):
    """A reply's body. `aclose` must be awaited in the end, whatever was read of it."""

    @property
    def ready(self) -> bytes | None:
        """The whole body, if all of it came with the head: it then needs no iteration."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises UpstreamError where it breaks off."""
        ...

    async def aclose(self) -> None:
        """Gives up what is left of it, if anything is. May be awaited twice."""
        ...


class ReplySender(Protocol):
    """Whoever sent the request that a reply answers."""

    def broke_off(self, error: UpstreamError, party: Party, request_id: str) -> None:
        """The body of a reply to it ended in an error."""
        ...


class Reply:
    """Invopop's answer: end-to-end headers only, and its body as it arrives.

    Its `sender` sent the request on account of `party`, and needed `attempts` for it. `known` is
    what its `head` has in common with earlier ones; `lines` are the `headers` as lines, or None.
    """

    __slots__ = (
        "attempts", "body", "head", "headers", "known", "lines", "party", "sender", "status",
    )  # fmt: skip

    def __init__(self, status: int, headers: Headers, body: ReplyBody) -> None:
        self.status = status
        self.known: KnownReply | None = None
        self.head = b""
        self.headers, self.body = headers, body
        self.lines: ReplyLines | None = None
        self.sender: ReplySender | None = None
        self.party: Party = ("", "")
        self.attempts = 0

    def broke_off(self, error: UpstreamError, request_id: str) -> None:
        """Reports to its sender, which a reload may have replaced, that the body broke off."""
        if self.sender is not None:
            self.sender.broke_off(error, self.party, request_id)


class Exchange:
    """One request with its reply, for metrics, logs, audit and traces. Times are seconds.

    It is only a record: nothing about a request is decided by it, but for what its reply says.

    `started` is `time.perf_counter()`. `status` 499 means that the caller left. `overhead` is the
    gateway's own share; waiting for Invopop, for a store or for the caller is not in it. Without a
    `trace` the exchange is not traced. `issuer` and `subject` are set only where a verified
    identity is no caller's. An attempt that was repeated may have `took_effect`.
    """

    __slots__ = (
        "attempts", "by", "bytes_in", "bytes_out", "caller", "cause", "error", "issuer",
        "key_fingerprint", "key_slot", "method", "operation", "overhead_seconds", "peer", "phase",
        "request_id", "route", "rule", "seconds", "started", "status", "subject", "tenant",
        "took_effect", "trace", "trace_id", "upstream_seconds", "upstream_status",
        "waited_seconds", "would_deny",
    )  # fmt: skip

    def __init__(self, started: float, request_id: str = "") -> None:
        self.started = started
        self.request_id = request_id
        self.method = "OTHER"
        self.route = "other"
        self.operation = self.rule = self.caller = self.tenant = self.peer = ""
        self.by: IdentifiedBy | Literal[""] = ""
        self.would_deny = self.took_effect = False
        self.issuer = self.subject = self.cause = self.key_fingerprint = self.trace_id = ""
        self.error: ErrorKey | Literal[""] = ""
        self.phase: Phase = "request"
        self.key_slot: SlotName | Literal[""] = ""
        self.status = self.bytes_in = self.bytes_out = self.attempts = self.upstream_status = 0
        self.upstream_seconds: float | None = None
        self.overhead_seconds = self.waited_seconds = self.seconds = 0.0
        self.trace: Trace | None = None

    def join_trace(self, parent: TraceContext) -> None:
        """Takes over the caller's trace context, and its decision; the caller must be known."""
        self.trace_id = parent.trace_id
        if self.trace is not None:
            if parent.sampled:
                self.trace.join(parent)
            else:
                self.trace = None

    def step(self, name: str) -> None:
        """Records that a step begins, and that the one before it is over; "" only ends that one."""
        if self.trace is not None:
            self.trace.step(name)
