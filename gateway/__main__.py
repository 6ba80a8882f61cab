"""The process's first moments: signals are in order before anything else is imported.

`python -m gateway` is the same as the console script `invopop-gateway`.
"""

import gc
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Runs the command line. Its imports take a while, and signals may come meanwhile."""
    if sys.argv[1:2] == ["serve"]:
        _hold()
    else:
        signal.signal(signal.SIGINT, _interrupted)
    gc.set_threshold(10_000)  # imports leave few cycles: to look for them is a tenth of a start
    # Else httpx imports its own command line wherever rich and click are installed, as here.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]
    from gateway.cli import main as command_line  # noqa: PLC0415 - signals first

    command_line()


def _hold() -> None:
    """Until `serve` handles them, SIGHUP and SIGUSR1 wait, and a wish to end is met at once.

    Blocked signals stay pending in the kernel, so none is lost however long the start takes
    (hashicorp/vault#27100, prometheus/prometheus#14917). Nothing has begun that would need an end.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP, signal.SIGUSR1})
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ended)


def _ended(_number: int, _frame: FrameType | None) -> None:
    os._exit(0)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    os._exit(1)


if __name__ == "__main__":
    main()
