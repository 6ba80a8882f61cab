"""Which exchanges are traced, and that their spans are exported once they have ended.

An authenticated caller's trace context decides, else chance; an exchange that is not traced costs
nothing.
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
from gateway.settings.wording import key_path, shown_path
from gateway.trace import Trace, context_of

Resolve = Callable[[KeySource, str, str], Awaitable[Secret]]

_MISSING: Final = "the extra `otel`: pip install 'invopop-gateway[otel]'"


class Tracer:
    """Records the share `ratio` of the exchanges without a context of an authenticated caller."""

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio

    def begin(self, x: Exchange, headers: Headers) -> None:
        """Gives the exchange a trace if it is to have one, or may: see `Exchange.join_trace`."""
        parent = context_of([value for name, value in headers if name == b"traceparent"])
        recorded = random.random() < self._ratio  # noqa: S311 - no secret
        if recorded or (parent is not None and parent.sampled):
            x.trace = Trace(recorded=recorded)
        if recorded and x.trace is not None:
            x.trace_id = x.trace.trace_id


class TraceExport:
    """What `[tracing]` asks for. Nothing is looked at or sent before `problems` or `open`."""

    def __init__(
        self,
        settings: TracingSettings,
        logger: Logger,
        dropped: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`dropped` gets the number of spans that are lost, each time; from any thread."""
        self._settings = settings
        self._logger = logger
        self._dropped = dropped
        self._trouble: Callable[[], str] = str
        self._headers: dict[str, str] = {}
        self._close: Callable[[], None] | None = None

    async def problems(self, file: str, resolve: Resolve) -> list[Problem]:
        """Why spans could not be exported; reads the header fields' secrets from their sources."""
        problems = self._unusable()
        for name, source in self._settings.headers.items():
            try:
                secret = await resolve(source, file, key_path(("tracing", "headers", name)))
                self._headers[name] = secret.reveal()
            except ConfigurationError as error:
                problems += error.problems
        return problems

    def open(self, events: Events) -> Tracer | None:
        """Exports from now on every traced exchange that ends; None if that is not configured."""
        if self._settings.endpoint is None:
            return None
        from gateway.observe.otlp import OtlpExporter  # noqa: PLC0415 - needs the extra

        exporter = OtlpExporter(self._settings, self._headers, self._logger.log, self._dropped)
        self._close, self._trouble = exporter.close, exporter.trouble

        def ended(event: ExchangeEnded) -> None:
            if event.exchange.trace is not None and event.exchange.trace.recorded:
                exporter.put(event.exchange)

        events.subscribe(ExchangeEnded, ended)
        return Tracer(self._settings.sample_ratio)

    @property
    def configured(self) -> bool:
        """Whether spans are exported."""
        return self._settings.endpoint is not None

    def trouble(self) -> str:
        """What is wrong, in a few words; "" if nothing is."""
        return self._trouble()

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
                found = f'"{shown_path(settings.ca_file)}"'
                expected = "a readable PEM file of certificates"
                problems.append(Problem("", "tracing.ca_file", found, expected))
        return problems
