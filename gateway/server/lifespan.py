"""Runs the life span of an ASGI app (https://asgi.readthedocs.io/en/latest/specs/lifespan.html).

Rule: what the app raises is raised here, so that the operator gets its list of problems. It runs in
a task of its own, so that whatever it opens at its start it also closes in.
"""

import asyncio
from typing import Any, Final

from gateway.asgi import App, Message

_LAST_WORDS: Final = 1.0  # seconds in which an app that has said "failed" may raise why


class Lifespan:
    """One app's life span. `state` is what the app passes to its requests."""

    def __init__(self, app: App) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Raises whatever the app's start-up raised. An app without a life span returns at once."""
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        self._task = asyncio.create_task(self._run(scope))
        await self._tell(self._task, "lifespan.startup")

    async def shutdown(self) -> None:
        """Waits for the app's clean-up, and raises what that raised."""
        if self._task is not None:
            await self._tell(self._task, "lifespan.shutdown")

    async def _run(self, scope: dict[str, Any]) -> None:
        await self._app(scope, self._to_app.get, self._from_app.put)

    async def _tell(self, task: asyncio.Task[None], what: str) -> None:
        """Returns when the app has done it, or has returned."""
        self._to_app.put_nowait({"type": what})
        answer = asyncio.create_task(self._from_app.get())
        try:
            await asyncio.wait((task, answer), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                task.result()
            elif answer.result()["type"] != f"{what}.complete":
                await asyncio.wait((task,), timeout=_LAST_WORDS)
                if task.done():
                    task.result()
                raise RuntimeError(f"the app refused: {what}")
        finally:
            answer.cancel()
