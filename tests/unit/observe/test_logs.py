"""Log lines: what they hold, and what can never be in them."""

import os
import pty
import random
import re
from typing import Any

import pytest

from gateway.events import (
    CircuitChanged,
    ConfigReloaded,
    Events,
    ExchangeEnded,
    KeyRefreshed,
    Noticed,
)
from gateway.observe.access_log import AccessLog
from gateway.observe.logs import Logger, describe_exception
from gateway.observe.writer import LineWriter
from tests.support.captured_lines import Capture
from tests.support.exchanges import exchange_of


@pytest.fixture
def capture() -> Capture:
    return Capture()


def test_an_exchange_is_one_line(capture: Capture) -> None:
    """Who, for whom, which operation, status, durations, bytes and the key's fingerprint."""
    events = Events()
    AccessLog(Logger(capture.writer, "info", "json")).subscribe(events)
    x = exchange_of(
        0.0, request_id="r1", caller="billing", tenant="acme", method="POST", route="/x",
        status=200, seconds=0.0125, upstream_seconds=0.01, upstream_status=200, bytes_in=3,
        bytes_out=5, key_fingerprint="0123456789ab", attempts=1,
    )  # fmt: skip
    events.emit(ExchangeEnded(x))
    (line,) = capture.lines()
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info", "event": "exchange", "request_id": "r1", "caller": "billing",
        "tenant": "acme", "method": "POST", "route": "/x", "operation": "", "status": 200,
        "duration_ms": 12.5, "bytes_in": 3, "bytes_out": 5, "key": "0123456789ab", "by": "",
        "rule": "", "peer": "", "attempts": 1, "upstream_ms": 10.0, "upstream_status": 200,
    }  # fmt: skip


@pytest.mark.parametrize("trace_id", ["", "4bf92f3577b34da6a3ce929d0e0e4736"])
def test_a_line_made_from_parts_is_the_line(capture: Capture, trace_id: str) -> None:
    """The same members in the same order as of one that is made anew, whatever is in them."""
    visible = "".join(map(chr, range(0x21, 0x7F)))
    ids = ["plain", "plain", 'needs "escapes"', *visible]
    events = Events()
    AccessLog(Logger(capture.writer, "info", "json")).subscribe(events)
    for request_id in ids:
        x = exchange_of(
            0.0, request_id=request_id, caller='a"b\\ü', tenant="acme", method="GET", route="/x",
            status=204, seconds=0.0004567, upstream_seconds=1234.5678, upstream_status=200,
            attempts=2, trace_id=trace_id, peer="::1", rule='callers."a.b".allow[0]',
        )  # fmt: skip
        events.emit(ExchangeEnded(x))
    written = capture.lines()
    assert [line["request_id"] for line in written] == ids
    first, again, anew, *_ = (list(line.items()) for line in written)
    assert first[3] == again[3] == ("request_id", "plain")
    assert first[1:3] + first[4:] == again[1:3] + again[4:] == anew[1:3] + anew[4:]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": 403, "error": "tenant_denied", "cause": "unlisted"}, "info"),
        ({"status": 502, "error": "upstream_unreachable"}, "warning"),
        ({"status": 200, "would_deny": True}, "warning"),
    ],
)
def test_levels_follow_whose_fault_it_is(
    capture: Capture, fields: dict[str, Any], expected: str
) -> None:
    """A caller's mistake is information, ours and Invopop's a warning."""
    events = Events()
    AccessLog(Logger(capture.writer, "info", "json")).subscribe(events)
    events.emit(ExchangeEnded(exchange_of(0.0, **fields)))
    (line,) = capture.lines()
    assert line["level"] == expected
    assert all(line[name] == value for name, value in fields.items())


def test_a_higher_level_hides_the_access_log(capture: Capture) -> None:
    """At level warning no exchange that went well is written."""
    events = Events()
    AccessLog(Logger(capture.writer, "warning", "json")).subscribe(events)
    events.emit(ExchangeEnded(exchange_of(0.0, status=200)))
    assert capture.lines() == []


def test_only_successes_are_sampled(capture: Capture) -> None:
    """With a share of 0 what went well has no line, and everything else has its own."""
    events = Events()
    AccessLog(Logger(capture.writer, "info", "json"), sample_success=0.0).subscribe(events)
    for fields in (
        {"status": 200},
        {"status": 404},
        {"status": 200, "error": "upstream_protocol_error"},
        {"status": 200, "would_deny": True},
        {"status": 499},
    ):
        events.emit(ExchangeEnded(exchange_of(0.0, **fields)))
    assert [line["status"] for line in capture.lines()] == [404, 200, 200, 499]


def test_a_share_of_the_successes_is_written(
    capture: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by its own chance: of four, those that fall below the share."""
    chances = iter((0.1, 0.3, 0.29, 0.9))
    monkeypatch.setattr(random, "random", lambda: next(chances))
    events = Events()
    AccessLog(Logger(capture.writer, "info", "json"), sample_success=0.3).subscribe(events)
    for n in range(4):
        events.emit(ExchangeEnded(exchange_of(0.0, status=200, request_id=f"r{n}")))
    assert [line["request_id"] for line in capture.lines()] == ["r0", "r2"]


def test_other_events_become_lines(capture: Capture) -> None:
    """Life-cycle events keep their name and fields; failures say why."""
    events = Events()
    Logger(capture.writer, "info", "json").subscribe(events)
    events.emit(Noticed("listening", "info", {"listener": "callers", "url": "http://x"}))
    events.emit(KeyRefreshed("acme", "env", "failure", "unset"))
    events.emit(KeyRefreshed("acme", "env", "success"))
    events.emit(ConfigReloaded("failure", ("gateway.toml: …",)))
    listening, refresh, reload = capture.lines()
    assert (listening["event"], listening["url"]) == ("listening", "http://x")
    assert (refresh["event"], refresh["reason"]) == ("key_refresh", "unset")
    assert (reload["level"], reload["problems"]) == ("error", ["gateway.toml: …"])


def test_a_change_of_the_circuit_is_a_line(capture: Capture) -> None:
    """It has opened: a warning; it has closed: information; both with the reason."""
    events = Events()
    Logger(capture.writer, "info", "json").subscribe(events)
    events.emit(CircuitChanged(open=True, reason="20 of 20 attempts within 10 s failed"))
    events.emit(CircuitChanged(open=False, reason="a probe succeeded"))
    opened, closed = capture.lines()
    assert (opened["event"], opened["level"]) == ("circuit_opened", "warning")
    assert opened["reason"] == "20 of 20 attempts within 10 s failed"
    assert (closed["event"], closed["level"]) == ("circuit_closed", "info")
    assert closed["reason"] == "a probe succeeded"


def test_a_line_is_one_line_whatever_is_in_it(capture: Capture) -> None:
    """Newlines and escape codes in a value are escaped by JSON."""
    Logger(capture.writer, "info", "json").log("info", "x", {"value": "a\nb\x1b[31m"})
    (line,) = capture.lines()
    assert line["value"] == "a\nb\x1b[31m"


def test_console_lines_are_for_people(capture: Capture) -> None:
    """`format = "console"` writes time, level, event and fields, coloured on a terminal only."""
    Logger(capture.writer, "info", "console").log("warning", "listening", {"url": "http://x"})
    capture.writer.close()
    os.close(capture.into)
    with os.fdopen(capture.out, "rb") as read:
        assert re.fullmatch(rb"[\d:.]{12} warning listening url=http://x\n", read.read())
    ours, theirs = pty.openpty()
    terminal = LineWriter(theirs)
    Logger(terminal, "info", "console").log("warning", "listening", {"url": "http://x"})
    terminal.close()
    assert b" \x1b[33mwarning\x1b[0m listening url=http://x" in os.read(ours, 1000)
    os.close(ours)
    os.close(theirs)


def test_an_exception_is_described_without_its_text() -> None:
    """Type and places, nothing else."""
    try:
        dict[str, str]()["SECRET"]
    except KeyError as error:
        told = describe_exception(error)
    assert told["exception"] == "KeyError"
    assert "SECRET" not in str(told)
