"""Runs a command in a terminal, as a person would: what is typed waits for a question."""

import os
import pty
import re
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import NamedTuple

PATIENCE = 60.0  # seconds


class Screen(NamedTuple):
    """All that was shown, the exit code, and whether echo was on when each question was asked."""

    text: str
    code: int
    echo: list[bool]


def in_terminal(
    words: list[str], answers: list[str], environ: Mapping[str, str] | None = None
) -> Screen:
    """Types each answer as soon as a question, which ends in `: `, waits for it.

    `environ` is by default that of the tests, with this Python's commands.
    """
    if environ is None:
        environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        ["invopop-gateway", *words],
        env=environ,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,  # so that it cannot ask in the terminal of whoever runs the tests
    )
    os.close(terminal)
    shown, waiting, echo = "", list(answers), []
    until = time.monotonic() + PATIENCE
    with DefaultSelector() as selector:
        selector.register(screen, EVENT_READ)
        while selector.select(until - time.monotonic()):
            try:
                data = os.read(screen, 65536)
            except OSError:  # the terminal is closed: the program has ended
                break
            shown += data.decode()
            if waiting and re.search(r": $", shown):
                echo.append(bool(termios.tcgetattr(screen)[3] & termios.ECHO))
                os.write(screen, waiting.pop(0).encode() + b"\n")
    os.close(screen)
    return Screen(shown, process.wait(10), echo)
