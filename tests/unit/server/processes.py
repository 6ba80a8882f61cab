"""Runs `served_process.py` and follows what it tells."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.support.async_caller import Wire

SCRIPT = Path(__file__).with_name("served_process.py")


class Process:
    """A running `served_process`."""

    def __init__(self, process: asyncio.subprocess.Process, stack: AsyncExitStack) -> None:
        self.process = process
        self._stack = stack
        self.urls: dict[str, str] = {}

    async def told(self, name: str) -> dict[str, Any]:
        """The next event of that name."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while line := await self.process.stdout.readline():
                event: dict[str, Any] = json.loads(line)
                if event["event"] == "listening":
                    self.urls[event["listener"]] = event["url"]
                if event["event"] == name:
                    return event
        raise AssertionError(f"never told of {name}")

    async def ready(self) -> None:
        """Returns once both listeners are open."""
        while len(self.urls) < 2:
            await self.told("listening")

    async def wire(self, listener: str = "callers", **options: Any) -> Wire:
        """A connection to a listener, closed with the test."""
        host, _, port = self.urls[listener].rpartition("//")[2].rpartition(":")
        wire = await Wire.connect((host.strip("[]"), int(port)), **options)
        return await self._stack.enter_async_context(wire)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    async def code(self) -> int:
        """The exit code."""
        return await asyncio.wait_for(self.process.wait(), 10)


Start = Callable[..., Awaitable[Process]]


async def spawn(
    stack: AsyncExitStack, *flags: str, admin: dict[str, Any] | None = None, **listen: Any
) -> Process:
    """Starts a process with these settings; it is killed with the stack if it still runs then."""
    settings = {"listen": {"port": 0} | listen, "admin": admin or {"port": 0}}
    process = await asyncio.create_subprocess_exec(
        sys.executable, SCRIPT, json.dumps(settings), *flags, stdout=asyncio.subprocess.PIPE
    )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    stack.push_async_callback(end)
    return Process(process, stack)
