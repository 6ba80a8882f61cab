"""The audit log: which event an exchange is, and what its line says."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.events import ConfigReloaded, Event, Events, ExchangeEnded, KeyChanged, KeyRejected
from gateway.model import Exchange
from gateway.observe.audit import EVENTS, AuditLog, taken

KNOWN: dict[str, Any] = {
    "request_id": "r1", "caller": "billing", "by": "token", "peer": "10.0.0.7",
    "tenant": "acme", "method": "POST", "operation": "silo.entries.create",
    "route": "/silo/v1/entries", "rule": "callers.billing.allow[0]",
}  # fmt: skip


def told(*happened: Event) -> list[dict[str, Any]]:
    """The lines of these events, without their times."""
    lines: list[bytes] = []
    events = Events()
    AuditLog(lines.append).subscribe(events)
    for event in happened:
        events.emit(event)
    return [plain(line) for line in lines]


def plain(line: bytes) -> dict[str, Any]:
    """A line without its time, which must be one."""
    assert line.endswith(b"\n")
    fields: dict[str, Any] = orjson.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", fields.pop("time"))
    assert fields.pop("log") == "audit"
    return fields


def exchange(**fields: Any) -> ExchangeEnded:
    """The end of a known request."""
    return ExchangeEnded(Exchange(0.0, **(KNOWN | fields)))


def test_a_used_key_is_on_record() -> None:
    """Who, for whom, with which key, for what, by which rule, and what came of it."""
    (line,) = told(
        exchange(key_fingerprint="0123456789ab", key_slot="key", attempts=2, status=200,
                 upstream_status=200, trace_id="ab" * 16)
    )  # fmt: skip
    assert line == KNOWN | {
        "event": "key_used", "key": "0123456789ab", "slot": "key", "decision": "allow",
        "attempts": 2, "status": 200, "upstream_status": 200, "trace_id": "ab" * 16,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "event", "decision"),
    [
        ({"status": 401, "error": "unauthenticated", "rule": ""}, "request_refused", "deny"),
        ({"status": 403, "error": "operation_denied"}, "request_refused", "deny"),
        ({"status": 503, "error": "overloaded"}, "request_refused", "allow"),
        ({"status": 400, "error": "bad_request", "rule": ""}, "request_refused", ""),
        ({"status": 499, "cause": "caller_left"}, "request_left", "allow"),
        ({"status": 499, "cause": "caller_left", "attempts": 1}, "key_used", "allow"),
        ({"status": 502, "error": "upstream_unreachable", "attempts": 3}, "key_used", "allow"),
        ({"status": 200, "attempts": 1, "would_deny": True}, "key_used", "would_deny"),
    ],
)
def test_every_exchange_is_one_event(fields: dict[str, Any], event: str, decision: str) -> None:
    """Sent with a key, refused before, or left before; with its error, if it has one."""
    (line,) = told(exchange(**fields))
    assert (line["event"], line["decision"], line["status"]) == (event, decision, fields["status"])
    assert line.get("error") == fields.get("error")


def test_the_line_before_the_request_names_the_key() -> None:
    """It says all that is known by then, and no outcome."""
    x = Exchange(0.0, **KNOWN, key_fingerprint="0123456789ab", key_slot="previous")
    assert plain(taken(x)) == KNOWN | {
        "event": "key_taken", "key": "0123456789ab", "slot": "previous", "decision": "allow",
    }  # fmt: skip


def test_what_happens_to_keys_and_configuration_is_on_record() -> None:
    """Rejections, rotations and reloads."""
    assert told(
        KeyRejected("acme", "key", "aaaaaaaaaaaa"),
        KeyChanged("acme", "key", "bbbbbbbbbbbb", "aaaaaaaaaaaa"),
        ConfigReloaded("success", restart_required=("listen.port",)),
        ConfigReloaded("failure", ("gateway.toml: …",)),
    ) == [
        {"event": "key_rejected", "tenant": "acme", "slot": "key", "key": "aaaaaaaaaaaa"},
        {"event": "key_changed", "tenant": "acme", "slot": "key", "key": "bbbbbbbbbbbb",
         "previous": "aaaaaaaaaaaa"},
        {"event": "config_reloaded", "outcome": "success", "restart_required": ["listen.port"]},
        {"event": "config_reloaded", "outcome": "failure", "problems": ["gateway.toml: …"]},
    ]  # fmt: skip


def test_the_events_are_a_closed_list() -> None:
    """What the code can tell is what the list says, and what the guide shows."""
    rooms = Path(__file__).parents[3] / "gateway"
    text = (rooms / "observe/audit.py").read_text() + (rooms / "observers.py").read_text()
    body = text.split("_DENIALS", 1)[1]
    assert {name for name in re.findall(r'"([a-z_]+)"', body) if name in EVENTS} == set(EVENTS)
    guide = (rooms.parent / "config/observability.md").read_text()
    assert re.findall(r"(?m)^\| `(\w+)` \|", guide.split("## Events", 1)[1]) == list(EVENTS)
