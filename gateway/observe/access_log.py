"""One line per exchange: who, for whom, which operation, how it ended. No query, token or key."""

import random
from typing import Any

from gateway.events import Events, ExchangeEnded
from gateway.observe.logs import Logger


class AccessLog:
    """Writes the line of each exchange that has ended.

    Of those that went well only the share `sample_success` (0 to 1); of all others, each.
    """

    def __init__(self, logger: Logger, sample_success: float = 1.0) -> None:
        self._logger = logger
        self._sample = sample_success

    def subscribe(self, events: Events) -> None:
        """Nothing is formatted at all while the level hides these lines."""
        if self._logger.enabled("info"):
            events.subscribe(ExchangeEnded, self._ended)

    def _ended(self, event: ExchangeEnded) -> None:
        x = event.exchange
        went_well = x.status < 400 and not x.error and not x.would_deny
        if went_well and self._sample < 1.0 and random.random() >= self._sample:  # noqa: S311
            return
        # One literal, and no call that can be done without: this is on every request's way.
        line: dict[str, Any] = {
            "time": self._logger.now(),
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
        if x.would_deny:
            line["would_deny"] = True
        if x.trace_id:
            line["trace_id"] = x.trace_id
        if x.status == 499 or (x.error and x.phase == "response"):
            line["phase"] = x.phase
        self._logger.write(line)
