"""Python's own logging, by which libraries log, as lines of our log.

Rule: not compiled: a handler has weak references, which a compiled class of that kind gets wrong.
"""

import logging
from typing import Final

from gateway.observe.logs import LEVELS, Fields, Logger, describe_exception

_QUIET: Final = ("httpx", "httpcore", "hpack", "asyncio", "urllib3", "botocore", "watchfiles")


class _Bridge(logging.Handler):
    """Python's logging as log lines. Of an exception: its type and where it was raised."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelname.lower()
        fields: Fields = {"logger": record.name}
        if record.exc_info and record.exc_info[0] is not None:
            fields |= describe_exception(record.exc_info[1])
        elif record.name not in _QUIET:
            fields["message"] = record.getMessage()[:1000]
        self._logger.log(level if level in LEVELS else "error", "library_log", fields)


def bridge_library_logs(logger: Logger) -> None:
    """Routes Python's logging here; libraries that log headers or URLs only from warnings on."""
    root = logging.getLogger()
    root.handlers[:] = [_Bridge(logger)]
    root.setLevel(logging.DEBUG if logger.enabled("debug") else logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
