"""The audit log: which event an exchange is, and what its line says."""

import os
import re
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from gateway.errors import Problem
from gateway.events import ConfigReloaded, Event, Events, ExchangeEnded, KeyChanged, KeyRejected
from gateway.observe.audit import AuditEvent, AuditLog
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.settings.schema import AuditSettings
from tests.support.exchanges import exchange_of

KNOWN: dict[str, Any] = {
    "request_id": "r1", "caller": "billing", "by": "token", "peer": "10.0.0.7",
    "tenant": "acme", "method": "POST", "operation": "silo.entries.create",
    "route": "/silo/v1/entries", "rule": "callers.billing.allow[0]",
}  # fmt: skip


class Opened:
    """An audit log that writes to a file before a request is sent."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "audit.jsonl"
        self.writer = LineWriter(os.open(os.devnull, os.O_WRONLY))
        logger = Logger(self.writer, "error", "json")
        self.log = AuditLog(AuditSettings(file=self.file, write_before_forward=True), logger)
        self.events = Events()
        self.log.open(self.events)

    def told(self, *happened: Event) -> list[dict[str, Any]]:
        """The lines of these events, and of what was written before, without their times."""
        for event in happened:
            self.events.emit(event)
        self.log.close()
        self.writer.close()
        lines = [plain(line) for line in self.file.read_bytes().splitlines(keepends=True)]
        assert [lines[0]["event"], lines[-1]["event"]] == ["started", "stopped"]
        return lines[1:-1]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return Opened(tmp_path)


def plain(line: bytes) -> dict[str, Any]:
    """A line without its time, which must be one."""
    assert line.endswith(b"\n")
    fields: dict[str, Any] = orjson.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", fields.pop("time"))
    assert fields.pop("log") == "audit"
    return fields


def exchange(**fields: Any) -> ExchangeEnded:
    """The end of a known request."""
    return ExchangeEnded(exchange_of(0.0, **(KNOWN | fields)))


def test_a_used_key_is_on_record(opened: Opened) -> None:
    """Who, for whom, with which key, for what, by which rule, and what came of it."""
    (line,) = opened.told(
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
def test_every_exchange_is_one_event(
    opened: Opened, fields: dict[str, Any], event: str, decision: str
) -> None:
    """Sent with a key, refused before, or left before; with its error, if it has one."""
    (line,) = opened.told(exchange(**fields))
    assert (line["event"], line["decision"], line["status"]) == (event, decision, fields["status"])
    assert line.get("error") == fields.get("error")


async def test_the_line_before_the_request_names_the_key(opened: Opened) -> None:
    """It says all that is known by then, and no outcome."""
    x = exchange_of(0.0, **KNOWN, key_fingerprint="0123456789ab", key_slot="previous")
    assert opened.log.precedes
    await opened.log.record_before_send(x)
    assert opened.told() == [
        KNOWN | {
            "event": "key_taken", "key": "0123456789ab", "slot": "previous", "decision": "allow",
        }
    ]  # fmt: skip


def test_what_happens_to_keys_and_configuration_is_on_record(opened: Opened) -> None:
    """Rejections, rotations and reloads."""
    assert opened.told(
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


def test_the_guide_lists_every_event() -> None:
    """The closed list, in its order."""
    guide = (Path(__file__).parents[3] / "config/observability.md").read_text()
    listed = re.findall(r"(?m)^\| `(\w+)` \|", guide.split("## Events", 1)[1])
    assert listed == list(get_args(AuditEvent))


def problems(**audit: Any) -> list[Problem]:
    """What is wrong with these settings."""
    writer = LineWriter(os.open(os.devnull, os.O_WRONLY))
    try:
        settings = AuditSettings.model_validate(audit)
        return AuditLog(settings, Logger(writer, "error", "json")).problems()
    finally:
        writer.close()


@pytest.mark.parametrize("place", ["nowhere/audit.jsonl", "link", "directory", "open", "file/x"])
def test_a_file_that_proves_nothing_is_found(tmp_path: Path, place: str) -> None:
    """No directory, a link, a directory, open to everyone's writing, below a file."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("open", "file"):
        (tmp_path / name).touch()
    (tmp_path / "open").chmod(0o666)
    before = {*tmp_path.iterdir()}
    (found,) = problems(file=str(tmp_path / place))
    assert found.key == "audit.file"
    assert {*tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["stdout", "new.jsonl", "old.jsonl"])
def test_a_file_that_will_do_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Looking makes no file, and writes to none."""
    monkeypatch.chdir(tmp_path)
    Path("old.jsonl").write_text("line\n")
    assert problems(file=name) == []
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("old.jsonl", "line\n")
    ]


def test_without_a_file_there_is_nothing_to_find() -> None:
    """The audit log is not on by itself."""
    assert problems() == []
