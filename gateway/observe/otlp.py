"""Traced exchanges leave for an OTLP receiver, in batches, from their own thread (extra `otel`).

Law: nobody ever waits for the receiver. What it does not take is lost and counted; that it is away,
and that it is back, is logged once.
"""

import logging
import ssl
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

import requests
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult
from requests.adapters import HTTPAdapter

from gateway.events import Level
from gateway.model import Exchange
from gateway.network.tls import client_context
from gateway.observe.spans import Spans
from gateway.settings.schema import TracingSettings

QUEUE: Final = 4096  # exchanges that wait at most
BATCH: Final = 256  # exchanges in one message
EVERY_SECONDS: Final = 0.5
TIMEOUT: Final = 5.0  # for one message, its repetitions included
FLUSH_SECONDS: Final = 2.0  # at exit, for all that is left


class Tell(Protocol):
    """Writes a line of the log; from any thread."""

    def __call__(self, level: Level, event: str, fields: dict[str, Any], /) -> None:
        """Its level, its event and its fields."""


class Otlp:
    """A bounded queue in front of the receiver that `tracing.endpoint` names."""

    def __init__(self, tracing: TracingSettings, headers: Mapping[str, str], tell: Tell) -> None:
        # Its messages may quote what the receiver said: what matters is told here.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._spans = Spans(tracing.service_name)
        self._exporter: Any = OTLPSpanExporter(  # parts of it are untyped
            tracing.endpoint,
            headers=dict(headers),
            timeout=TIMEOUT,
            compression=Compression.Gzip,
            session=_session(tracing),
        )
        self._tell = tell
        self._queue: deque[Exchange] = deque(maxlen=QUEUE)
        self._closing = threading.Event()
        self._awake = threading.Event()
        self._away = False
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="otlp", daemon=True)
        self._thread.start()

    def put(self, x: Exchange) -> None:
        """Queues an exchange that has ended; the oldest makes room for it. Never blocks."""
        if len(self._queue) == QUEUE:
            self._dropped += 1
        self._queue.append(x)
        if len(self._queue) >= BATCH and not self._awake.is_set():
            self._awake.set()

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
        spans = [s for x in batch if x.trace is not None for s in self._spans.of(x, x.trace)]
        try:
            taken = self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:  # noqa: BLE001 - a foreign library's defect costs spans, nothing else
            taken = False
        if not taken:
            self._dropped += len(batch)
        if taken == self._away:
            self._away = not taken
            level: Level = "warning" if self._away else "info"
            event = "trace_export_failed" if self._away else "trace_export_recovered"
            self._tell(level, event, {"exchanges_lost": self._dropped})


class _VerifiedAdapter(HTTPAdapter):
    """Connections whose peer is verified by our context, and by nothing else."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Makes connections with the context."""
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Adds no trust anchor of the library's."""

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        """Nor this, which later versions of it call instead."""
        del verify, cert
        return super().build_connection_pool_key_attributes(request, True)


def _session(tracing: TracingSettings) -> requests.Session:
    """Without the environment's proxies, credentials and trust anchors."""
    session = requests.Session()
    session.trust_env = False
    if (tracing.endpoint or "").startswith("https:"):
        context = client_context(tracing.ca_file, ca_only=tracing.ca_file is not None)
        session.mount("https://", _VerifiedAdapter(context))
    return session
