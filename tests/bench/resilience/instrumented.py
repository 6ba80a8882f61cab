"""The gateway, unchanged, as a process that tells on SIGRTMIN how many tasks and objects live.

`python -m tests.bench.resilience.instrumented REPORT serve --config FILE`; REPORT becomes JSON.
"""

import asyncio
import gc
import json
import signal
import sys
from pathlib import Path
from types import FrameType

from gateway.cli import main


def watch(report: Path) -> None:
    """Has the report written at each SIGRTMIN, by the thread that runs the loop."""

    def tell(_number: int, _frame: FrameType | None) -> None:
        gc.collect()
        figures = {"tasks": len(asyncio.all_tasks()), "objects": len(gc.get_objects())}
        written = report.with_suffix(".new")
        written.write_text(json.dumps(figures))
        written.replace(report)

    signal.signal(signal.SIGRTMIN, tell)


if __name__ == "__main__":
    watch(Path(sys.argv.pop(1)))
    main()
