"""Which exchanges are traced, and that their spans are exported once they have ended.

Decides by the caller's trace context, else by chance; costs an exchange nothing that is not traced.
"""

import random
import ssl
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Final

from gateway.errors import ConfigurationError, Problem
from gateway.events import Events, ExchangeEnded
from gateway.model import Exchange, Headers
from gateway.network.tls import client_context
from gateway.observe.logs import Logger
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.schema import TracingSettings
from gateway.trace import Trace, context_of

Resolve = Callable[[KeySource, str, str], Awaitable[Secret]]

_MISSING: Final = "the extra `otel`: pip install 'invopop-gateway[otel]'"


class Tracer:
    """Begins a trace for the share `ratio` of the exchanges that come without a context."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def begin(self, x: Exchange, headers: Headers) -> None:
        """Gives the exchange a trace, if it is to have one."""
        parent = context_of([value for name, value in headers if name == b"traceparent"])
        if parent.sampled if parent else random.random() < self._ratio:  # noqa: S311
            x.trace = Trace(parent)
            x.trace_id = x.trace.trace_id


class TraceExport:
    """What `[tracing]` asks for. Nothing is looked at or sent before `problems` or `open`."""

    def __init__(self, settings: TracingSettings, logger: Logger) -> None:
        self._settings = settings
        self._logger = logger
        self._headers: dict[str, str] = {}
        self._close: Callable[[], None] | None = None

    async def problems(self, file: str, resolve: Resolve) -> list[Problem]:
        """Why spans could not be exported; reads the header fields' secrets from their sources."""
        problems = self._unusable()
        for name, source in self._settings.headers.items():
            try:
                secret = await resolve(source, file, f"tracing.headers.{name}")
                self._headers[name] = secret.reveal()
            except ConfigurationError as error:
                problems += error.problems
        return problems

    def open(self, events: Events) -> Tracer | None:
        """Exports from now on every traced exchange that ends; None if that is not configured."""
        if self._settings.endpoint is None:
            return None
        from gateway.observe.otlp import OtlpExporter  # noqa: PLC0415 - needs the extra

        exporter = OtlpExporter(self._settings, self._headers, self._logger.log)
        self._close = exporter.close

        def ended(event: ExchangeEnded) -> None:
            if event.exchange.trace is not None:
                exporter.put(event.exchange)

        events.subscribe(ExchangeEnded, ended)
        return Tracer(self._settings.sample_ratio)

    def close(self) -> None:
        """Exports what is waiting, for some seconds at most."""
        if self._close is not None:
            self._close()

    def _unusable(self) -> list[Problem]:
        settings = self._settings
        if settings.endpoint is None:
            return []
        problems = []
        try:
            import_module("gateway.observe.otlp")
        except ModuleNotFoundError:
            problems.append(Problem("", "tracing.endpoint", "an OTLP receiver", _MISSING))
        if settings.ca_file is not None:
            try:
                client_context(settings.ca_file, ca_only=True)
            except (OSError, ssl.SSLError):
                expected = "a readable PEM file of certificates"
                problems.append(Problem("", "tracing.ca_file", f'"{settings.ca_file}"', expected))
        return problems
