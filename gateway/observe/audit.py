"""The audit log: who used which tenant's key, for what, and what came of it. One JSON line each.

A closed set of events, each line made of named fields; keys by fingerprint, never a path, a
query or a token.
"""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from gateway import __version__
from gateway.errors import ConfigurationError, GatewayFault, Problem
from gateway.events import ConfigReloaded, Events, ExchangeEnded, KeyChanged, KeyRejected
from gateway.model import Exchange
from gateway.observe.audit_file import AuditFile, open_append
from gateway.observe.logs import Logger, json_line
from gateway.observe.refusal_floods import EVENT, RefusalFloods
from gateway.settings.schema import AuditSettings
from gateway.settings.wording import shown_path

AuditEvent = Literal[
    "started",  # the process has opened its audit log
    "key_taken",  # only with write_before_forward: a key is about to be used for a request
    "key_used",  # a request that was sent with a key has ended
    "request_refused",  # a request was refused before any key was used
    "requests_refused",  # how many more were refused of one peer, within a second
    "tunnel_opened",  # CONNECT was answered 200; requests inside have lines of their own
    "request_left",  # its caller left before any key was used
    "key_rejected",  # Invopop answered 401 to a key
    "key_changed",  # another key replaced one
    "config_reloaded",  # a reload took effect, or was refused
    "stopped",  # the last line of the process
]
RETRY_AFTER: Final = (b"retry-after", b"1")
_DENIALS: Final = frozenset(
    {
        *("unauthenticated", "caller_unknown", "browser_refused"),
        *("tenant_required", "tenant_denied", "operation_denied"),
    }
)

Fields = dict[str, Any]


class AuditLog:
    """What `[audit]` asks for. Nothing is looked at or written before `problems` or `open`."""

    def __init__(self, settings: AuditSettings, logger: Logger) -> None:
        self._settings = settings
        self._logger = logger
        self._write = logger.write_line
        self._file: AuditFile | None = None
        self._opened = False
        self._floods = RefusalFloods(lambda fields: self._log(EVENT, fields))

    @property
    def configured(self) -> bool:
        """Whether there is an audit log."""
        return self._settings.file is not None

    @property
    def precedes(self) -> bool:
        """Whether `record_before_send` must be awaited before a request is sent."""
        return self._settings.write_before_forward and self._file is not None

    def problems(self) -> list[Problem]:
        """Why the file could not be opened, as far as can be seen without making it."""
        path = self._settings.file
        if path is None or self._settings.on_stdout:
            return []
        try:
            os.close(open_append(path, create=False))
        except FileNotFoundError:
            if not os.access(path.parent, os.W_OK | os.X_OK):
                found = f'"{shown_path(path)}"'
                return [Problem("", "audit.file", found, "a file in a writable directory")]
        except OSError as error:
            return [_unwritable(path, error)]
        return []

    def open(self, events: Events) -> None:
        """Writes from now on what happens, if that is configured. Raises `ConfigurationError`."""
        path = self._settings.file
        if path is None:
            return
        if not self._settings.on_stdout:
            try:
                self._file = AuditFile(path, self._logger.log)
            except OSError as error:
                raise ConfigurationError([_unwritable(path, error)]) from None
            self._write = self._file.write
        self._opened = True
        self._log("started", {"pid": os.getpid(), "version": __version__})
        events.subscribe(ExchangeEnded, lambda e: self._ended(e.exchange))
        events.subscribe(KeyRejected, lambda e: self._log("key_rejected", _key(e)))
        events.subscribe(KeyChanged, lambda e: self._log("key_changed", _changed(e)))
        events.subscribe(ConfigReloaded, lambda e: self._log("config_reloaded", _reloaded(e)))

    def reopen(self) -> None:
        """Goes on in a new file if the old one has been renamed or removed."""
        if self._file is not None:
            self._file.reopen()

    def close(self) -> None:
        """Writes the last line, and what is waiting; for some seconds at most."""
        if self._opened:
            self._floods.flush()
            self._log("stopped", {"pid": os.getpid()})
        if self._file is not None:
            self._file.close()

    def trouble(self) -> str:
        """What is wrong, in a few words; "" if nothing is."""
        if self._file is not None:
            return self._file.trouble()
        lost = self._logger.dropped if self._settings.on_stdout else 0
        return f"{lost} lines are lost: stdout is not read, or its disk is full" if lost else ""

    async def record_before_send(self, x: Exchange) -> None:
        """Returns once it is on disk that the exchange's key is about to be used.

        Raises `GatewayFault`: `audit_unavailable`.
        """
        if self._file is None or not await self._file.written(_line("key_taken", _who(x))):
            raise GatewayFault("audit_unavailable", headers=(RETRY_AFTER,))

    def _ended(self, x: Exchange) -> None:
        if x.caller or self._floods.admits(x):
            self._log(*_ended(x))

    def _log(self, event: AuditEvent, fields: Fields) -> None:
        self._write(_line(event, fields))


def _unwritable(path: Path, error: OSError) -> Problem:
    reason = os.strerror(error.errno) if error.errno else str(error)
    found = f'"{shown_path(path)}": {reason}'
    return Problem("", "audit.file", found, "a regular file to append to")


def _line(event: AuditEvent, fields: Fields) -> bytes:
    """A line with its time (RFC 3339, UTC), newline included. `log` sets it apart on stdout."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    made = {"time": now, "log": "audit", "event": event, **fields}
    return json_line(made)


def _ended(x: Exchange) -> tuple[AuditEvent, Fields]:
    fields = _who(x)
    event: AuditEvent
    if x.attempts:
        event = "key_used"
        fields |= {"attempts": x.attempts, "upstream_status": x.upstream_status}
    else:
        event = "request_left" if x.status == 499 else "request_refused"
        if x.status == 200:  # the only success without an attempt
            event = "tunnel_opened"
    fields["status"] = x.status
    for name in ("error", "cause", "issuer", "subject"):
        if value := getattr(x, name):
            fields[name] = value
    return event, fields


def _who(x: Exchange) -> Fields:
    fields: Fields = {
        "request_id": x.request_id,
        "caller": x.caller,
        "by": x.by,
        "peer": x.peer,
        "tenant": x.tenant,
        "key": x.key_fingerprint,
        "slot": x.key_slot,
        "method": x.method,
        "operation": x.operation,
        "route": x.route,
        "decision": _decision(x),
        "rule": x.rule,
    }
    return fields | {"trace_id": x.trace_id} if x.trace_id else fields


def _decision(x: Exchange) -> Literal["deny", "would_deny", "allow", ""]:
    """What identity and policy decided; "" where they were not asked."""
    if x.error in _DENIALS:
        return "deny"
    if x.would_deny:
        return "would_deny"
    return "allow" if x.rule else ""


def _key(event: KeyRejected) -> Fields:
    return {"tenant": event.tenant, "key": event.fingerprint, "slot": event.slot}


def _changed(event: KeyChanged) -> Fields:
    return {
        "tenant": event.tenant,
        "key": event.fingerprint,
        "previous": event.previous,
        "slot": event.slot,
    }


def _reloaded(event: ConfigReloaded) -> Fields:
    fields: Fields = {"outcome": event.outcome}
    if event.problems:
        fields["problems"] = list(event.problems)
    if event.restart_required:
        fields["restart_required"] = list(event.restart_required)
    return fields
