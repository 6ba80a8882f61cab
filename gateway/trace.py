"""What tracing records of one exchange, and its W3C Trace Context, in and out.

A record: it decides nothing about a request and exports nothing. Times are `time.perf_counter()`'s;
an exchange that is not traced has none of this.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import getrandbits
from time import perf_counter
from typing import Final

Headers = list[tuple[bytes, bytes]]

_NAME: Final = b"traceparent"
_LINE: Final = b"traceparent: "
_TRACE_PARENT: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?"
)
_HEX: Final = b"0123456789abcdef"
_LENGTH: Final = 55  # of a value of version 00
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16


@dataclass(init=False, slots=True)
class TraceContext:
    """A caller's place in a trace: ids in lower-case hex; `flags` as they came, two hex digits."""

    trace_id: str
    span_id: str
    flags: str

    def __init__(self, trace_id: str, span_id: str, flags: str) -> None:
        self.trace_id, self.span_id, self.flags = trace_id, span_id, flags

    @property
    def sampled(self) -> bool:
        """Whether the one who began the trace wants it recorded."""
        return bool(int(self.flags, 16) & 1)


def context_of(values: Sequence[bytes]) -> TraceContext | None:
    """The context in the values of `traceparent`; None unless there is one, and it is valid."""
    if len(values) != 1:
        return None
    value = values[0]
    # Version 00 ends after the flags; later ones may go on behind a dash (Trace Context 3.2.4).
    if value.startswith(b"00-"):
        return _of_version_00(value)
    found = _TRACE_PARENT.fullmatch(value)
    if found is None:
        return None
    return TraceContext(found[1].decode(), found[2].decode(), found[3].decode())


def _of_version_00(value: bytes) -> TraceContext | None:
    """Nearly all are: read without the expression, which costs four times as much."""
    if len(value) != _LENGTH or value.translate(None, _HEX) != b"---":
        return None
    trace_id, span_id = value[3:35], value[36:52]
    if not value[35] == value[52] == 0x2D or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return TraceContext(trace_id.decode(), span_id.decode(), value[53:].decode())


class Span:
    """A step, or an attempt. `server` is the host and port that an attempt was made at."""

    __slots__ = ("began", "ended", "error", "name", "server", "span_id", "status")

    def __init__(self, name: str) -> None:
        self.name = name
        self.span_id = _new_id(64)
        self.began = perf_counter()
        self.ended = 0.0
        self.server: tuple[bytes, int] | None = None
        self.status = 0
        self.error = ""

    def end(self, error: str = "") -> None:
        """Ends it; `error` is a constant word."""
        self.ended = perf_counter()
        self.error = error


class Trace:
    """The spans of one exchange below its own, `span_id`.

    It is exported only if `recorded`. Until `join` it knows no caller: a stranger's context decides
    neither that, nor the trace that it belongs to.
    """

    __slots__ = (
        "_step", "flags", "parent_id", "recorded", "span_id", "spans", "started_at", "trace_id",
    )  # fmt: skip

    def __init__(self, *, recorded: bool) -> None:
        self.recorded = recorded
        self.trace_id = _new_id(128)
        self.parent_id = ""
        self.flags = "01"
        self.span_id = _new_id(64)
        self.started_at = time.time_ns()
        self.spans: list[Span] = []
        self._step: Span | None = None

    def join(self, parent: TraceContext) -> None:
        """Continues an authenticated caller's trace, which is sampled, below its span."""
        self.recorded = True
        self.trace_id, self.parent_id = parent.trace_id, parent.span_id
        self.flags = parent.flags

    def step(self, name: str) -> None:
        """Begins a step and ends the one before it; "" only ends that one."""
        self.leave()
        if name:
            self._step = Span(name)
            self.spans.append(self._step)

    def leave(self, error: str = "") -> None:
        """Ends the step in progress, if there is one."""
        if self._step is not None:
            self._step.end(error)
            self._step = None

    def attempt(self, server: tuple[bytes, int]) -> Span:
        """Begins an attempt at the upstream."""
        span = Span("upstream attempt")
        span.server = server
        self.spans.append(span)
        return span

    def outward(self, headers: Headers, span: Span) -> Headers:
        """The headers with `span` as the parent; unchanged if the caller sent no valid one."""
        if not self.parent_id:
            return headers
        ours = self._context(span)
        return [(name, ours if name == _NAME else value) for name, value in headers]

    def outward_lines(self, lines: list[bytes], span: Span) -> list[bytes]:
        """The same for encoded fields."""
        if not self.parent_id:
            return lines
        ours = _LINE + self._context(span)
        return [ours if line.startswith(_LINE) else line for line in lines]

    def _context(self, span: Span) -> bytes:
        return f"00-{self.trace_id}-{span.span_id}-{self.flags}".encode()


def _new_id(bits: int) -> str:
    """Random, not 0, in lower-case hex."""
    return f"{getrandbits(bits) or 1:0{bits // 4}x}"
