"""Errors by whose fault, each with one stable key; `error_response` alone makes answers of them.

Nothing here ever carries a secret, a file path or text that a client sent.
"""

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

import orjson

Headers = list[tuple[bytes, bytes]]

ErrorKey = Literal[
    "bad_request",
    "unauthenticated",
    "caller_unknown",
    "browser_refused",
    "tenant_required",
    "tenant_denied",
    "operation_denied",
    "method_not_allowed",
    "request_timeout",
    "body_too_large",
    "misdirected",
    "rate_limited",
    "headers_too_large",
    "internal_error",
    "upstream_unreachable",
    "upstream_protocol_error",
    "upstream_tls_error",
    "key_rejected",
    "overloaded",
    "circuit_open",
    "key_unavailable",
    "audit_unavailable",
    "upstream_timeout",
    "loop_detected",
]
"""The public name of an error: `X-Gateway-Error`, `key` in the body, `reason` in metrics."""

ConnectFailure = Literal["dns", "connect", "connect_refused", "connect_timeout", "tls", "proxy"]
AttemptFailure = Literal[
    ConnectFailure,
    "read_timeout",
    "write_timeout",
    "closed",
    "truncated",
    "protocol",
    "invalid_status",
]
"""How an attempt at Invopop failed: it has no reply, or none that could be passed on."""

UpstreamErrorKind = Literal[
    AttemptFailure,
    "edge_refused",  # answered 403 by Invopop's edge, which refuses the client as such
]
"""The label of `upstream_errors_total`."""


class ErrorKind(NamedTuple):
    """What is fixed for one error key: its status, its title, its RFC 9209 `error` token."""

    status: int
    title: str
    proxy_status: str


KINDS: Final[dict[ErrorKey, ErrorKind]] = {
    "bad_request": ErrorKind(400, "Malformed request", "http_request_error"),
    "unauthenticated": ErrorKind(401, "Caller not authenticated", "http_request_denied"),
    "caller_unknown": ErrorKind(403, "Caller not configured", "http_request_denied"),
    "browser_refused": ErrorKind(403, "Web pages may not use this identity", "http_request_denied"),
    "tenant_required": ErrorKind(403, "No tenant named", "http_request_denied"),
    "tenant_denied": ErrorKind(403, "Tenant not allowed", "http_request_denied"),
    "operation_denied": ErrorKind(403, "Operation not allowed", "http_request_denied"),
    "method_not_allowed": ErrorKind(405, "Method not allowed", "http_request_error"),
    "request_timeout": ErrorKind(408, "Caller too slow", "http_request_error"),
    "body_too_large": ErrorKind(413, "Body too large", "http_request_error"),
    "misdirected": ErrorKind(421, "Not this gateway's upstream", "http_request_error"),
    "rate_limited": ErrorKind(429, "Rate limit exceeded", "http_request_denied"),
    "headers_too_large": ErrorKind(431, "Request head too large", "http_request_error"),
    "internal_error": ErrorKind(500, "Unexpected failure in the gateway", "proxy_internal_error"),
    "upstream_unreachable": ErrorKind(502, "Invopop unreachable", "destination_unavailable"),
    "upstream_protocol_error": ErrorKind(502, "Broken reply from Invopop", "http_protocol_error"),
    "upstream_tls_error": ErrorKind(502, "TLS to Invopop failed", "tls_protocol_error"),
    "key_rejected": ErrorKind(502, "Invopop rejected the key", "proxy_configuration_error"),
    "overloaded": ErrorKind(503, "Gateway overloaded", "connection_limit_reached"),
    "circuit_open": ErrorKind(503, "Invopop is failing", "destination_unavailable"),
    "key_unavailable": ErrorKind(503, "Key unavailable", "proxy_configuration_error"),
    "audit_unavailable": ErrorKind(503, "Audit log cannot be written", "proxy_internal_error"),
    "upstream_timeout": ErrorKind(504, "Invopop timed out", "http_response_timeout"),
    "loop_detected": ErrorKind(508, "Request loop", "proxy_loop_detected"),
}

# What to do about each error, in the words of the table in config/errors.md. Callers read it as
# `detail` where whoever raises the error has nothing more exact to say; operators read it on the
# status page.
REMEDIES: Final[dict[ErrorKey, str]] = {
    "bad_request": "Fix the request's framing, target or header; detail says which.",
    "unauthenticated": (
        "Send a valid token as Authorization: Bearer; cause in the gateway's log says what was "
        "wrong."
    ),
    "caller_unknown": (
        "The caller is not configured: add it to [callers], or list the issuer that it uses."
    ),
    "browser_refused": (
        "A web page must not use an identity that comes from an address: use a token, or a "
        "local name in Host."
    ),
    "tenant_required": "Name the tenant in X-Invopop-Tenant or in the token's claim.",
    "tenant_denied": "The caller may not use this tenant, or it does not exist; see explain.",
    "operation_denied": "The operation is not in allow, or is in deny; see explain.",
    "method_not_allowed": "Use a method of Invopop's API.",
    "request_timeout": (
        "Send head and body without stalling, the body at listen.min_rate or faster."
    ),
    "body_too_large": "Send less, or raise limits.max_body.",
    "misdirected": "Name the upstream's host, or one of upstream.file_hosts, in the absolute URL.",
    "rate_limited": "Wait for Retry-After.",
    "headers_too_large": "Send fewer or smaller headers, or a shorter target.",
    "internal_error": "This is a defect in the gateway: report it with the request id.",
    "upstream_unreachable": "Invopop, or the network on the way to it, is down: try again later.",
    "upstream_protocol_error": (
        "Invopop's reply was malformed or broke off; the request may have taken effect."
    ),
    "upstream_tls_error": "Invopop's certificate is not trusted; see upstream.ca_file.",
    "key_rejected": "Invopop refuses the tenant's key: rotate it.",
    "overloaded": "Wait for Retry-After; raise limits.max_in_flight or add replicas.",
    "circuit_open": "Invopop is failing: wait for Retry-After.",
    "key_unavailable": "The key's source cannot be read; see the log and check.",
    "audit_unavailable": (
        "The audit log must be written first and cannot be; see audit_failed in the log."
    ),
    "upstream_timeout": (
        "Invopop did not answer in time, or the time in X-Request-Timeout is over; the request "
        "may have taken effect."
    ),
    "loop_detected": "The gateway's upstream leads back to a gateway: correct upstream.url.",
}


def about_file_host(text: str, named: str = "the file host") -> str:
    """A text about Invopop, said of a file host: Invopop's own, but another upstream."""
    said = re.sub(r"(?<!-)\bInvopop\b", named, text.replace("upstream.url", "Invopop"))
    return said[:1].upper() + said[1:]


ALLOW: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


class GatewayError(Exception):
    """An error with a public answer. `key` is one of `KINDS`; `detail` says what to do about it.

    `status` differs from the kind's own only where one key has several (400, 417, 501, 505).
    `cause` is for the log, a constant word (`expired`, `bad_signature`) or more for an
    `UpstreamError`; callers never see it. `file_host` is the one that it is about, if not Invopop.
    """

    def __init__(
        self,
        key: ErrorKey,
        detail: str = "",
        *,
        status: int | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
        cause: str = "",
    ) -> None:
        super().__init__(key)
        self.key: ErrorKey = key
        self.detail = detail
        self.status = KINDS[key].status if status is None else status
        self.headers: Headers = list(headers)
        self.cause = cause
        self.file_host = ""

    @property
    def recorded_cause(self) -> str:
        """What the log says about why; never empty."""
        return self.cause or self.detail or self.key


class CallerError(GatewayError):
    """The caller's fault: it must change its request."""


class GatewayFault(GatewayError):
    """The gateway's own fault, or its operator's: key stores, limits, overload."""


class UpstreamError(GatewayError):
    """Invopop, or the connection to it, failed.

    `kind` is the metric label of `upstream_errors_total`; `cause` begins with it and may go on with
    whom it was about, and why (`dns: api.invopop.com:443: …`). `sent` is false only if certainly
    no byte of the request left: the licence to send a request again that is not idempotent.
    """

    def __init__(
        self,
        key: ErrorKey,
        kind: AttemptFailure,
        *,
        sent: bool,
        detail: str = "",
        cause: str = "",
    ) -> None:
        super().__init__(key, detail, cause=cause or kind)
        self.kind: AttemptFailure = kind
        self.sent = sent


def tenant_denied(cause: str = "") -> CallerError:
    """The one answer for a tenant that is forbidden, ill-formed or does not exist."""
    return CallerError("tenant_denied", "This caller may not act for that tenant.", cause=cause)


class Problem(NamedTuple):
    """Something wrong in the configuration: where, what was found, what was expected instead.

    Whoever does not know the configuration file's name leaves `file` empty: `with_file` adds it.
    `line` counts from 1; 0 where it is not known.
    """

    file: str
    key: str
    found: str
    expected: str
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        where = f"{where}: {self.key}" if self.key else where
        return f"{where}: found {self.found}; expected {self.expected}"


def with_file(problems: Iterable[Problem], file: str) -> list[Problem]:
    """The problems, with `file`, the configuration file, for those that name none."""
    return [problem._replace(file=problem.file or file) for problem in problems]


class ConfigurationError(Exception):
    """Everything wrong with a configuration, in one list; nothing of it takes effect.

    `draft` is what is left of it without its wrong parts, where that is enough to look further.
    """

    def __init__(self, problems: Iterable[Problem], draft: object = None) -> None:
        self.problems = tuple(problems)
        self.draft = draft
        super().__init__(f"{len(self.problems)} problem(s) in the configuration")


def refused(file: str, key: str, found: str, expected: str) -> ConfigurationError:
    """The error for a single problem."""
    return ConfigurationError([Problem(file, key, found, expected)])


def error_response(error: GatewayError, request_id: str) -> tuple[Headers, bytes]:
    """The response headers and body for an error: RFC 9457, RFC 9209, and Invopop's own members.

    `Content-Length` is among the headers; hop-by-hop fields are left to the server.
    """
    kind = KINDS[error.key]
    title, detail = kind.title, error.detail or REMEDIES[error.key]
    if error.file_host:
        title = about_file_host(title, "file host")
        detail = about_file_host(detail, f"the file host {error.file_host}")
    body = orjson.dumps(
        {
            "type": f"urn:invopop-gateway:error:{error.key}",
            "title": title,
            "status": error.status,
            "detail": detail,
            "request_id": request_id,
            "key": error.key,
            "code": error.key,
            "message": detail,
        }
    )
    headers: Headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-gateway-error", error.key.encode()),
        (b"proxy-status", f"invopop-gateway; error={kind.proxy_status}".encode()),
        (b"x-request-id", request_id.encode()),
        (b"via", b"1.1 invopop-gateway"),
    ]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    elif error.status == 405 and not error.headers:
        headers.append((b"allow", ALLOW))
    elif error.status == 407:
        headers.append((b"proxy-authenticate", b'Basic realm="invopop-gateway"'))
    headers += error.headers
    return headers, body
