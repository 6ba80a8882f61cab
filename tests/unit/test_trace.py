"""W3C Trace Context: what is taken for a caller's place in a trace, and what goes upstream."""

import pytest

from gateway.trace import Trace, TraceContext, context_of

TRACE_ID, SPAN_ID = "ab" * 16, "cd" * 8
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01".encode()


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (PARENT, "01"),
        (PARENT[:-2] + b"00", "00"),
        (PARENT[:-2] + b"03", "03"),
        (b"cc" + PARENT[2:], "01"),
        (b"cc" + PARENT[2:] + b"-what-the-future-brings", "01"),
    ],
)
def test_a_valid_context_is_taken(value: bytes, flags: str) -> None:
    """Version 00 as it is; of later versions the part that is known."""
    assert context_of([value]) == TraceContext(TRACE_ID, SPAN_ID, flags)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        PARENT.upper(),
        PARENT[:-1],
        PARENT + b"0",
        PARENT + b"-more",
        b" " + PARENT,
        b"ff" + PARENT[2:],
        b"cc" + PARENT[2:] + b".more",
        PARENT.replace(TRACE_ID.encode(), b"0" * 32),
        PARENT.replace(SPAN_ID.encode(), b"0" * 16),
    ],
)
def test_an_invalid_context_is_none(value: bytes) -> None:
    """What the specification calls invalid is as good as absent."""
    assert context_of([value]) is None


def test_two_contexts_are_none() -> None:
    """Of two nobody knows which is meant."""
    assert context_of([PARENT, PARENT]) is None
    assert context_of([]) is None


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False)])
def test_only_the_lowest_flag_says_sampled(flags: str, sampled: bool) -> None:
    """The other bits say something else."""
    assert TraceContext(TRACE_ID, SPAN_ID, flags).sampled is sampled


def test_the_attempt_becomes_the_parent_upstream() -> None:
    """The trace and its flags stay; the span is ours; every other field is as it was, in order."""
    trace = Trace(recorded=False)
    trace.join(TraceContext(TRACE_ID, SPAN_ID, "03"))
    span = trace.attempt((b"api.invopop.com", 443))
    state = (b"tracestate", b"a=b")
    sent = trace.outward([(b"host", b"h"), (b"traceparent", PARENT), state], span)
    ours = f"00-{TRACE_ID}-{span.span_id}-03".encode()
    assert sent == [(b"host", b"h"), (b"traceparent", ours), state]
    lines = [b"host: h", b"traceparent: " + PARENT, b"tracestate: a=b"]
    assert trace.outward_lines(lines, span) == [lines[0], b"traceparent: " + ours, lines[2]]


def test_nothing_is_added_that_the_caller_did_not_send() -> None:
    """A trace that begins here stays here, and a context that is invalid goes up as it came."""
    trace = Trace(recorded=True)
    span = trace.attempt((b"api.invopop.com", 443))
    for headers in ([(b"host", b"h")], [(b"traceparent", b"junk")]):
        assert trace.outward(headers, span) == headers
    assert trace.outward_lines([b"traceparent: junk"], span) == [b"traceparent: junk"]


def test_steps_follow_each_other() -> None:
    """A step ends where the next begins; the one in progress ends with the error that ended it."""
    trace = Trace(recorded=True)
    trace.step("authenticate")
    trace.step("authorize")
    trace.leave("tenant_denied")
    trace.leave("too late")
    first, second = trace.spans
    assert (first.name, first.error) == ("authenticate", "")
    assert (second.name, second.error) == ("authorize", "tenant_denied")
    assert first.began <= first.ended <= second.began <= second.ended


def test_ids_are_those_of_the_specification() -> None:
    """32 and 16 lower-case hex digits, no two alike."""
    traces = [Trace(recorded=True) for _ in range(1000)]
    assert {len(trace.trace_id) for trace in traces} == {32}
    assert {len(trace.span_id) for trace in traces} == {16}
    assert len({trace.trace_id for trace in traces}) == 1000
