"""One line for each exchange that has ended: who, for whom, which operation, and how it ended."""

import random
from typing import Any, Final

from gateway.events import Events, ExchangeEnded
from gateway.model import Exchange
from gateway.observe.logs import Fields, Logger, json_line
from gateway.observe.refusal_floods import EVENT, RefusalFloods

_MOST_PARTS: Final = 4096
_THOUSANDTHS: Final = tuple(f"{number:03d}" for number in range(1000))

_Unchanging = tuple[str, str, str, str, str, int, str, str, str, str, int, int]
"""What seldom differs between the lines of exchanges that went well."""


class AccessLog:
    """Writes one line for each exchange that has ended.

    Of those that went well only the share `sample_success` (0 to 1), of the others every one.
    """

    def __init__(self, logger: Logger, sample_success: float = 1.0) -> None:
        self._logger = logger
        self._sample = sample_success
        self._floods = RefusalFloods(lambda fields: logger.log("info", EVENT, fields))
        self._parts: dict[_Unchanging, tuple[str, str, str]] = {}

    def close(self) -> None:
        """Writes the counts of refusals that have no line of their own yet."""
        self._floods.flush()

    def subscribe(self, events: Events) -> None:
        """Does nothing where the level hides these lines."""
        if self._logger.enabled("info"):
            events.subscribe(ExchangeEnded, self._ended)

    def _ended(self, event: ExchangeEnded) -> None:
        x = event.exchange
        went_well = x.status < 400 and not x.error and not x.would_deny
        if went_well and self._sample < 1.0 and random.random() >= self._sample:  # noqa: S311
            return
        if not x.caller and not self._floods.admits(x):
            return
        if went_well and (usual := self._usual(x)) is not None:
            self._logger.write_line(usual)
            return
        self._logger.write(_line(x, self._logger.now()))

    def _usual(self, x: Exchange) -> bytes | None:
        """The line of an exchange that went well, from parts made before; None if it is special."""
        upstream_seconds = x.upstream_seconds
        if upstream_seconds is None or x.cause or not self._logger.json:
            return None
        if '"' in x.request_id or "\\" in x.request_id:  # all else in it is visible ASCII
            return None
        unchanging = (
            *(x.caller, x.tenant, x.method, x.route, x.operation, x.status),
            *(x.key_fingerprint, x.by, x.rule, x.peer, x.attempts, x.upstream_status),
        )
        names, more, end = self._parts.get(unchanging) or self._add(unchanging)
        trace = f',"trace_id":"{x.trace_id}"' if x.trace_id else ""
        took, upstream_took = int(x.seconds * 1e6), int(upstream_seconds * 1e6)  # microseconds
        return (
            f'{{"time":"{self._logger.now()}","level":"info","event":"exchange",'
            f'"request_id":"{x.request_id}",{names},'
            f'"duration_ms":{took // 1000}.{_THOUSANDTHS[took % 1000]},'
            f'"bytes_in":{x.bytes_in},"bytes_out":{x.bytes_out},{more},'
            f'"upstream_ms":{upstream_took // 1000}.{_THOUSANDTHS[upstream_took % 1000]},'
            f"{end}{trace}}}\n"
        ).encode()

    def _add(self, unchanging: "_Unchanging") -> tuple[str, str, str]:
        caller, tenant, method, route, operation, status, *rest = unchanging
        fingerprint, by, rule, peer, attempts, upstream_status = rest
        names = {"caller": caller, "tenant": tenant, "method": method, "route": route}
        more = {"key": fingerprint, "by": by, "rule": rule, "peer": peer, "attempts": attempts}
        parts = (
            _members({**names, "operation": operation, "status": status}),
            _members(more),
            _members({"upstream_status": upstream_status}),
        )
        if len(self._parts) >= _MOST_PARTS:  # only callers who were let in add to them
            self._parts.clear()
        self._parts[unchanging] = parts
        return parts


def _line(x: Exchange, now: str) -> Fields:
    # One literal, and no call that can be avoided: every request pays for this.
    line: dict[str, Any] = {
        "time": now,
        "level": "info" if x.status < 500 and not x.would_deny else "warning",
        "event": "exchange",
        "request_id": x.request_id,
        "caller": x.caller,
        "tenant": x.tenant,
        "method": x.method,
        "route": x.route,
        "operation": x.operation,
        "status": x.status,
        "duration_ms": int(x.seconds * 1e6) / 1000,
        "bytes_in": x.bytes_in,
        "bytes_out": x.bytes_out,
        "key": x.key_fingerprint,
        "by": x.by,
        "rule": x.rule,
        "peer": x.peer,
        "attempts": x.attempts,
    }
    if x.upstream_seconds is not None:
        line["upstream_ms"] = int(x.upstream_seconds * 1e6) / 1000
        line["upstream_status"] = x.upstream_status
    if x.error:
        line["error"] = x.error
    if x.cause:
        line["cause"] = x.cause
        if x.subject or x.issuer:
            line["issuer"], line["subject"] = x.issuer, x.subject
    if x.would_deny:
        line["would_deny"] = True
    if x.trace_id:
        line["trace_id"] = x.trace_id
    if x.status == 499 or (x.error and x.phase == "response"):
        line["phase"] = x.phase
    return line


def _members(fields: Fields) -> str:
    return json_line(fields).decode()[1:][:-2]
