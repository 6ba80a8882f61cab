"""Traced exchanges as OpenTelemetry spans, sent to an OTLP receiver from a thread (extra `otel`).

Nothing ever waits for the receiver. What it does not take is lost and counted; that it does not
answer, and that it does again, is logged once. Attributes are configured names, rows of the
operations table, constant words and numbers; no path, query, header, key or token.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway import __version__
from gateway.events import Level
from gateway.model import Exchange
from gateway.observe.otlp_session import session_for
from gateway.settings.schema import TracingSettings
from gateway.trace import Span, Trace

QUEUE: Final = 4096  # exchanges that wait at most
BATCH: Final = 256  # exchanges in one message
EVERY_SECONDS: Final = 0.5
TIMEOUT: Final = 5.0  # for one message, its repetitions included
LOSS_SECONDS: Final = 60.0  # for which a loss counts as trouble
FLUSH_SECONDS: Final = 2.0  # at exit, for all that is left


Attributes = dict[str, str | int | bool]

OWN: Final = "invopop_gateway."  # what no semantic convention has a name for
_SCOPE: Final = InstrumentationScope("invopop-gateway", __version__)
_FAILED: Final = Status(StatusCode.ERROR)
_OPEN: Final = Status(StatusCode.UNSET)


class Log(Protocol):
    """Writes a line of the log; from any thread."""

    def __call__(self, level: Level, event: str, fields: dict[str, Any], /) -> None:
        """Its level, its event and its fields."""


class OtlpExporter:
    """A bounded queue in front of the receiver that `tracing.endpoint` names."""

    def __init__(
        self,
        tracing: TracingSettings,
        headers: Mapping[str, str],
        log: Log,
        lost: Callable[[int], None],
    ) -> None:
        """`lost` gets the number of spans that are lost, each time; from any thread."""
        # Its messages may quote what the receiver said: what matters is logged here.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._resource = Resource.create(
            {"service.name": tracing.service_name, "service.version": __version__}
        )
        self._session = session_for(tracing)
        self._exporter: Any = OTLPSpanExporter(  # parts of it are untyped
            tracing.endpoint,
            headers=dict(headers),
            timeout=TIMEOUT,
            compression=Compression.Gzip,
            session=self._session,
        )
        self._log = log
        self._lost = lost
        self._queue: deque[Exchange] = deque(maxlen=QUEUE)
        self._closing = threading.Event()
        self._awake = threading.Event()
        self._away = False
        self._dropped = 0  # exchanges
        self._full_at = -LOSS_SECONDS
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def put(self, x: Exchange) -> None:
        """Queues an exchange that has ended, in place of the oldest if it must. Never blocks."""
        if len(self._queue) == QUEUE:
            self._full_at = time.monotonic()
            self._lose(1, _spans_in(self._queue[0]))
        self._queue.append(x)
        if len(self._queue) >= BATCH and not self._awake.is_set():
            self._awake.set()

    def trouble(self) -> str:
        """What is wrong, in a few words; "" if nothing is, and the queue was not full lately."""
        if self._away:
            why = f" ({self._session.failure})" if self._session.failure else ""
            return f"the receiver does not take them{why}"
        if time.monotonic() < self._full_at + LOSS_SECONDS:
            return "the receiver is too slow, so some are lost"
        return ""

    def _lose(self, exchanges: int, spans: int) -> None:
        self._dropped += exchanges
        self._lost(spans)

    def close(self) -> None:
        """Exports what is queued, for at most `FLUSH_SECONDS`."""
        self._closing.set()
        self._awake.set()
        self._thread.join(FLUSH_SECONDS)
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._awake.wait(EVERY_SECONDS)
            self._awake.clear()
            while batch := [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]:
                self._export(batch)

    def _export(self, batch: list[Exchange]) -> None:
        spans = [
            span
            for x in batch
            if x.trace is not None
            for span in spans_of(x, x.trace, self._resource)
        ]
        try:
            taken = self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - a foreign library's defect costs spans, nothing else
            taken = False
        if not taken:
            self._lose(len(batch), len(spans))
        if taken == self._away:
            self._away = not taken
            level: Level = "warning" if self._away else "info"
            event = "trace_export_failed" if self._away else "trace_export_recovered"
            why = {"reason": self._session.failure} if self._away else {}
            self._log(level, event, {"exchanges_lost": self._dropped, **why})


def _spans_in(x: Exchange) -> int:
    return 0 if x.trace is None else 1 + len(x.trace.spans)


def spans_of(x: Exchange, trace: Trace, resource: Resource) -> Iterator[ReadableSpan]:
    """The exchange's own span (SERVER), then its steps and its attempts (CLIENT)."""
    resends = 0
    yield _server(x, trace, resource)
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
            resource,
            _with_error(attributes, error),
            kind=kind,
            status=_FAILED if error else _OPEN,
            start_time=_wall(x, trace, span.began),
            end_time=_wall(x, trace, span.ended or x.started + x.seconds),
            instrumentation_scope=_SCOPE,
        )


def _server(x: Exchange, trace: Trace, resource: Resource) -> ReadableSpan:
    route = x.route if x.route.startswith("/") else ""
    broken = x.status >= 500 or (x.error != "" and x.phase == "response")
    error = x.error or (x.cause if x.status == 499 else "")
    error = error or (str(x.status) if x.status >= 500 else "")
    return ReadableSpan(
        f"{'HTTP' if x.method == 'OTHER' else x.method} {route}".rstrip(),
        _context(trace, trace.span_id),
        _context(trace, trace.parent_id, remote=True) if trace.parent_id else None,
        resource,
        _with_error(_exchange(x, route), error),
        kind=SpanKind.SERVER,
        status=_FAILED if broken else _OPEN,
        start_time=trace.started_at,
        end_time=_wall(x, trace, x.started + x.seconds),
        instrumentation_scope=_SCOPE,
    )


def _exchange(x: Exchange, route: str) -> Attributes:
    values: dict[str, str | int] = {
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
    known = {name: value for name, value in values.items() if value not in {"", 0}}
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
