"""Which exchanges are traced, and that their spans are exported once they have ended.

Law: decides by the caller's trace context, else by chance; costs an exchange nothing it does not
trace.
"""

import random
from collections.abc import Callable

from gateway.events import Events, ExchangeEnded
from gateway.model import Exchange, Headers
from gateway.trace import Trace, context_of


class Tracer:
    """Begins a trace for the share `ratio` of the exchanges that come without a context."""

    def __init__(self, ratio: float, export: Callable[[Exchange], None]) -> None:
        self._ratio = ratio
        self._export = export

    def begin(self, x: Exchange, headers: Headers) -> None:
        """Gives the exchange a trace, if it is to have one."""
        parent = context_of([value for name, value in headers if name == b"traceparent"])
        if parent.sampled if parent else random.random() < self._ratio:  # noqa: S311
            x.trace = Trace(parent)
            x.trace_id = x.trace.trace_id

    def subscribe(self, events: Events) -> None:
        """Has every traced exchange exported when it has ended."""
        events.subscribe(ExchangeEnded, self._ended)

    def _ended(self, event: ExchangeEnded) -> None:
        if event.exchange.trace is not None:
            self._export(event.exchange)
