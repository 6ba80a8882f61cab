"""A gateway that sends traces, and the receiver that has them."""

from pathlib import Path
from typing import Any

from tests.support.collector import Collector, Span
from tests.support.gateway import eventually
from tests.support.world import TWO_KEYS, World

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


class Traced(World):
    """A gateway that sends traces to `collector`."""

    def __init__(self, directory: Path, collector: Collector, **tracing: Any) -> None:
        self.collector = collector
        configured = {"endpoint": f"http://127.0.0.1:{collector.port}", **tracing}
        super().__init__(directory, {"tracing": configured}, vault=TWO_KEYS)

    def take_baseline(self) -> None:
        """As ever, once the connection to the receiver is there, which is kept."""
        self.get("/warm", f"traceparent: {PARENT}", timeout=10)
        eventually(self.collector.spans)
        super().take_baseline()

    def trace(self, request_id: str) -> dict[str, Span]:
        """The spans of one request by name; attempts are numbered from the second on."""
        named: dict[str, Span] = {}
        for span in sorted(self.collector.trace(request_id), key=lambda span: span.began):
            known = sum(name.startswith(span.name) for name in named)
            named[f"{span.name} {known + 1}" if known else span.name] = span
        return named

    def parent_sent(self) -> str | None:
        """The `traceparent` of the latest request that the origin saw."""
        return self.origin.requests[-1].get("traceparent")
