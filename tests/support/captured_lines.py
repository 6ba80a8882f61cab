"""The log lines that a writer has written, as values."""

import os
from typing import Any

import orjson

from gateway.observe.writer import LineWriter


class Capture:
    """A writer, and what it has written once it is closed."""

    def __init__(self) -> None:
        self.out, self.into = os.pipe()
        self.writer = LineWriter(self.into)

    def lines(self) -> list[Any]:
        """Closes the writer; what it has written."""
        self.writer.close()
        os.close(self.into)
        with os.fdopen(self.out, "rb") as read:
            return [orjson.loads(line) for line in read]
