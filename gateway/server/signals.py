"""SIGTERM and SIGINT: the first asks for an orderly end, the second for an immediate one."""

import asyncio
import signal
from types import TracebackType
from typing import Final, Self

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class StopSignals:
    """Listens while it is entered; afterwards the signals have their default effect again."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.asked = asyncio.Event()
        self.forced = asyncio.Event()

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            self._loop.add_signal_handler(number, self._received)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in _SIGNALS:
            self._loop.remove_signal_handler(number)

    def _received(self) -> None:
        if self.asked.is_set():
            self.forced.set()
        self.asked.set()
