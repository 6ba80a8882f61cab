"""Runs the life span of an ASGI app with uvicorn's code; the app's own exception is raised.

uvicorn only reports that start-up failed, and logs a traceback: neither gives the operator a list
of problems.
"""

import asyncio

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from gateway.asgi import App, Receive, Scope, Send


class Lifespan:
    """One app's life span. `state` is what the app passes to its requests."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._failure: BaseException | None = None
        config = uvicorn.Config(
            self._record,
            http=asyncio.Protocol,  # none is made: it only keeps uvicorn from importing its own
            lifespan="on",
            interface="asgi3",
            ws="none",
            loop="none",
            log_config=None,
            log_level="critical",
            proxy_headers=False,
        )
        config.load()
        self._span = LifespanOn(config)
        self.state = self._span.state

    async def startup(self) -> None:
        """Raises whatever the app's start-up raised. An app without a life span returns at once."""
        await self._span.startup()
        if self._span.should_exit:
            raise self._failure or RuntimeError("the app refused to start")

    async def shutdown(self) -> None:
        """Waits for the app's clean-up."""
        await self._span.shutdown()

    async def _record(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            self._failure = error
            raise
