"""A real OTLP receiver over HTTP, which decodes each message by OpenTelemetry's own schema."""

import gzip
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.gateway import eventually


class Span:
    """A span as it came. Ids are hex, `kind` is a word, times are nanoseconds since 1970."""

    def __init__(self, span: OtlpSpan) -> None:
        self.name = span.name
        self.trace_id = span.trace_id.hex()
        self.span_id = span.span_id.hex()
        self.parent_id = span.parent_span_id.hex()
        self.kind = OtlpSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
        self.failed = span.status.code == Status.STATUS_CODE_ERROR
        self.began, self.ended = span.start_time_unix_nano, span.end_time_unix_nano
        self.attributes = {item.key: _value(item.value) for item in span.attributes}


class Collector:
    """A context manager. `status` is what it answers; `gate`, while closed, holds its answers."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.messages: list[ExportTraceServiceRequest] = []
        self.raw: list[bytes] = []
        self.heads: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.receive))
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.port = self._server.server_address[1]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def receive(self, path: str, head: dict[str, str], body: bytes) -> int:
        """Takes one message, and gives the status to answer with."""
        self.gate.wait(20)
        assert head["content-type"] == "application/x-protobuf"
        raw = gzip.decompress(body) if head.get("content-encoding") == "gzip" else body
        self.paths.append(path)
        self.heads.append(head)
        self.raw.append(raw)
        if self.status == 200:
            self.messages.append(ExportTraceServiceRequest.FromString(raw))
        return self.status

    def resource(self) -> dict[str, Any]:
        """The attributes of the resource that the latest spans are of."""
        found = self.messages[-1].resource_spans[0].resource.attributes
        return {item.key: _value(item.value) for item in found}

    def spans(self) -> list[Span]:
        """Every span that came, in order."""
        return [
            Span(span)
            for message in list(self.messages)
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def trace(self, request_id: str) -> list[Span]:
        """All spans of the trace of one request, once they are there; its own span is the first."""
        name = "invopop_gateway.request_id"
        own = eventually(lambda: [s for s in self.spans() if s.attributes.get(name) == request_id])
        below = [span for span in self.spans() if span.parent_id == own[0].span_id]
        return [own[0], *below]


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def _handler(
    receive: Callable[[str, dict[str, str], bytes], int],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            head = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(head["content-length"]))
            status = receive(self.path, head, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler
