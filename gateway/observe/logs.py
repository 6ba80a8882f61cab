"""Log lines: one JSON object a line, or a short one for a terminal.

A line is made of named fields that the caller chose; exception texts are never among them.
"""

import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

from gateway.events import (
    CircuitChanged,
    ConfigReloaded,
    Events,
    JwksRefreshed,
    KeyRefreshed,
    Level,
    Noticed,
)
from gateway.observe.writer import LineWriter
from gateway.settings.wording import masked, masked_name, readable

LEVELS: Final[dict[Level, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_MARKS: Final = {"debug": "\x1b[2m", "info": "", "warning": "\x1b[33m", "error": "\x1b[31m"}
_UNMARKED: Final = "\x1b[0m"
_MILLISECONDS: Final = tuple(f"{number:03d}+00:00" for number in range(1000))

Fields = dict[str, Any]


def json_line(fields: object) -> bytes:
    """The fields as one line of JSON; what is not UTF-8 in them, such as a path, is escaped."""
    try:
        return orjson.dumps(fields, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(_readable(fields), option=orjson.OPT_APPEND_NEWLINE)


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {_readable(key): _readable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(item) for item in value]
    return _readable(asdict(value)) if is_dataclass(value) else value  # type: ignore[arg-type]


def _plain_line(fields: Fields) -> bytes:
    return _console_line(fields, f"{fields['level']:7}")


def _coloured_line(fields: Fields) -> bytes:
    mark = _MARKS[fields["level"]]
    return _console_line(fields, f"{mark}{fields['level']:7}{_UNMARKED if mark else ''}")


def _console_line(fields: Fields, level: str) -> bytes:
    rest = " ".join(f"{k}={v}" for k, v in fields.items() if k not in {"time", "level", "event"})
    text = f"{fields['time'][11:23]} {level} {fields['event']} {rest}\n"
    return readable(text).encode()


class Logger:
    """Writes events from a level on, with their fields. Nothing else writes to stdout."""

    def __init__(self, writer: LineWriter, level: Level, style: Literal["json", "console"]) -> None:
        self._writer = writer
        self._threshold = LEVELS[level]
        console = _coloured_line if writer.to_terminal else _plain_line
        self.json = style == "json"
        self._line: Callable[[Fields], bytes] = json_line if self.json else console
        self._second = -1
        self._prefix = ""

    def enabled(self, level: Level) -> bool:
        """Whether a line of that level would be written."""
        return LEVELS[level] >= self._threshold

    def log(self, level: Level, event: str, fields: Fields) -> None:
        """Writes one line: time (RFC 3339, UTC), level, event, then the fields."""
        if LEVELS[level] >= self._threshold:
            self.write({"time": self.now(), "level": level, "event": event, **fields})

    def write(self, line: Fields) -> None:
        """Writes one line of exactly these fields, whatever its level."""
        self._writer.write(self._line(line))

    def now(self) -> str:
        """The time to the millisecond; all but the milliseconds is formatted once a second."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
        return self._prefix + _MILLISECONDS[int((now - second) * 1000)]

    def write_line(self, line: bytes) -> None:
        """Writes a finished line, newline included, whatever the level."""
        self._writer.write(line)

    @property
    def dropped(self) -> int:
        """How many lines were lost because nobody read them, or the disk was full."""
        return self._writer.dropped

    def subscribe(self, events: Events) -> None:
        """Logs every event that is not an exchange."""
        events.subscribe(Noticed, lambda e: self.log(e.level, e.name, e.fields))
        events.subscribe(CircuitChanged, self._circuit_changed)
        events.subscribe(KeyRefreshed, self._key_refreshed)
        events.subscribe(JwksRefreshed, self._jwks_refreshed)
        events.subscribe(ConfigReloaded, self._reloaded)

    def _circuit_changed(self, event: CircuitChanged) -> None:
        level: Level = "warning" if event.open else "info"
        name = "circuit_opened" if event.open else "circuit_closed"
        whose = {"file_host": event.file_host} if event.file_host else {}
        self.log(level, name, {"reason": event.reason} | whose)

    def _key_refreshed(self, event: KeyRefreshed) -> None:
        level: Level = "debug" if event.outcome == "success" else "warning"
        if not self.enabled(level):  # keys may be issued hundreds of times a second
            return
        fields = {
            "tenant": masked_name(event.tenant),
            "source": event.source,
            "outcome": event.outcome,
        }
        self.log(level, "key_refresh", fields | ({"reason": event.reason} if event.reason else {}))

    def _jwks_refreshed(self, event: JwksRefreshed) -> None:
        level: Level = "debug" if event.outcome == "success" else "warning"
        fields = {"issuer": masked(event.issuer), "outcome": event.outcome}
        self.log(level, "jwks_refresh", fields | ({"reason": event.reason} if event.reason else {}))

    def _reloaded(self, event: ConfigReloaded) -> None:
        level: Level = "info" if event.outcome == "success" else "error"
        fields: Fields = {"outcome": event.outcome}
        if event.problems:
            fields["problems"] = list(event.problems)
        if event.restart_required:
            fields["restart_required"] = list(event.restart_required)
        self.log(level, "config_reload", fields)


def describe_exception(error: BaseException | None) -> Fields:
    """An exception's type and the places it passed; never its text, which may quote a header.

    Of a group, which only says that tasks failed, the first one's.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    places = [f"{f.filename.rsplit('/', 2)[-1]}:{f.lineno} {f.name}" for f in frames[-8:]]
    return {"exception": type(error).__name__, "at": places}
