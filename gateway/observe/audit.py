"""The audit log: who used which tenant's key, for what, and what came of it. One JSON line each.

Law: a closed set of events, each line made of named fields; keys by fingerprint, never a path, a
query or a token.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from gateway.events import ConfigReloaded, Events, ExchangeEnded, KeyChanged, KeyRejected
from gateway.model import Exchange

EVENTS: Final = (
    "started",  # the process has opened its audit log
    "key_taken",  # only with write_before_forward: this key is about to be used for this request
    "key_used",  # a request that was sent with a key has ended
    "request_refused",  # a request was refused before any key was used
    "request_left",  # its caller left before any key was used
    "key_rejected",  # Invopop answered 401 to a key
    "key_changed",  # another key took a key's place
    "config_reloaded",  # a reload took effect, or was refused
    "stopped",  # the last line of the process
)
_DENIALS: Final = frozenset(
    {
        *("unauthenticated", "caller_unknown", "browser_refused"),
        *("tenant_required", "tenant_denied", "operation_denied"),
    }
)

Fields = dict[str, Any]


class AuditLog:
    """Writes the line of each event, by `write`."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write

    def subscribe(self, events: Events) -> None:
        """Writes from now on what happens."""
        events.subscribe(ExchangeEnded, lambda e: self.tell(*_ended(e.exchange)))
        events.subscribe(KeyRejected, lambda e: self.tell("key_rejected", _key(e)))
        events.subscribe(KeyChanged, lambda e: self.tell("key_changed", _changed(e)))
        events.subscribe(ConfigReloaded, lambda e: self.tell("config_reloaded", _reloaded(e)))

    def tell(self, event: str, fields: Fields) -> None:
        """Writes a line."""
        self._write(line(event, fields))


def line(event: str, fields: Fields) -> bytes:
    """A line with its time (RFC 3339, UTC), newline included. `log` tells it from other lines."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    made = {"time": now, "log": "audit", "event": event, **fields}
    return orjson.dumps(made, option=orjson.OPT_APPEND_NEWLINE)


def taken(x: Exchange) -> bytes:
    """The line that must be on record before the exchange's key is used."""
    return line("key_taken", _who(x))


def _ended(x: Exchange) -> tuple[str, Fields]:
    fields = _who(x)
    if x.attempts:
        event = "key_used"
        fields |= {"attempts": x.attempts, "upstream_status": x.upstream_status}
    else:
        event = "request_left" if x.status == 499 else "request_refused"
    fields["status"] = x.status
    for name in ("error", "cause"):
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


def _decision(x: Exchange) -> str:
    """What identity and policy said, "" where they were not asked."""
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
