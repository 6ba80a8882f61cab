"""An exchange that has ended, as OpenTelemetry spans. Needs the extra `otel`.

Law: attributes are configured names, rows of the operations table, constant words and numbers; no
path, query, header, key or token.
"""

from collections.abc import Iterator
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway import __version__
from gateway.model import Exchange
from gateway.trace import Span, Trace

Attributes = dict[str, str | int | bool]

OWN: Final = "invopop_gateway."  # what no semantic convention has a name for
_SCOPE: Final = InstrumentationScope("invopop-gateway", __version__)
_FAILED: Final = Status(StatusCode.ERROR)
_OPEN: Final = Status(StatusCode.UNSET)


class Spans:
    """Makes them, for one service."""

    def __init__(self, service_name: str) -> None:
        self._resource = Resource.create(
            {"service.name": service_name, "service.version": __version__}
        )

    def of(self, x: Exchange, trace: Trace) -> Iterator[ReadableSpan]:
        """The exchange's own span (SERVER), then its steps and its attempts (CLIENT)."""
        resends = 0
        yield self._server(x, trace)
        for span in trace.spans:
            kind, attributes = SpanKind.INTERNAL, Attributes()
            if span.server is not None:
                kind, attributes = SpanKind.CLIENT, _attempt(x, span, resends)
                resends += 1
            error = span.error or (str(span.status) if span.status >= 400 else "")
            yield ReadableSpan(
                span.name,
                _context(trace, span.span_id),
                _context(trace, trace.span_id),
                self._resource,
                _with_error(attributes, error),
                kind=kind,
                status=_FAILED if error else _OPEN,
                start_time=_wall(x, trace, span.began),
                end_time=_wall(x, trace, span.ended or x.started + x.seconds),
                instrumentation_scope=_SCOPE,
            )

    def _server(self, x: Exchange, trace: Trace) -> ReadableSpan:
        route = x.route if x.route.startswith("/") else ""
        broken = x.status >= 500 or (x.error != "" and x.phase == "response")
        error = x.error or (x.cause if x.status == 499 else "")
        error = error or (str(x.status) if x.status >= 500 else "")
        return ReadableSpan(
            f"{'HTTP' if x.method == 'OTHER' else x.method} {route}".rstrip(),
            _context(trace, trace.span_id),
            _context(trace, trace.parent_id, remote=True) if trace.parent_id else None,
            self._resource,
            _with_error(_exchange(x, route), error),
            kind=SpanKind.SERVER,
            status=_FAILED if broken else _OPEN,
            start_time=trace.started_at,
            end_time=_wall(x, trace, x.started + x.seconds),
            instrumentation_scope=_SCOPE,
        )


def _exchange(x: Exchange, route: str) -> Attributes:
    told: dict[str, str | int] = {
        "http.route": route,
        "http.response.status_code": x.status,
        "client.address": x.peer,
        f"{OWN}request_id": x.request_id,
        f"{OWN}caller": x.caller,
        f"{OWN}tenant": x.tenant,
        f"{OWN}operation": x.operation,
        f"{OWN}rule": x.rule,
        f"{OWN}attempts": x.attempts,
    }
    known = {name: value for name, value in told.items() if value not in {"", 0}}
    if x.would_deny:
        known[f"{OWN}would_deny"] = True
    return {"http.request.method": _method(x), **known}


def _attempt(x: Exchange, span: Span, resends: int) -> Attributes:
    host, port = span.server or (b"", 0)
    attributes: Attributes = {
        "http.request.method": _method(x),
        "server.address": host.decode("ascii", "replace"),
        "server.port": port,
    }
    if span.status:
        attributes["http.response.status_code"] = span.status
    if resends:
        attributes["http.request.resend_count"] = resends
    return attributes


def _with_error(attributes: Attributes, error: str) -> Attributes:
    return {**attributes, "error.type": error} if error else attributes


def _method(x: Exchange) -> str:
    return "_OTHER" if x.method == "OTHER" else x.method


def _context(trace: Trace, span_id: str, *, remote: bool = False) -> SpanContext:
    flags = TraceFlags(int(trace.flags, 16))
    return SpanContext(int(trace.trace_id, 16), int(span_id, 16), remote, flags)


def _wall(x: Exchange, trace: Trace, moment: float) -> int:
    """Nanoseconds since 1970 of a moment on the exchange's clock."""
    return trace.started_at + int((moment - x.started) * 1e9)
