"""Client libraries that not everyone installs, and threads for those that block.

Rule: the error for a missing library says what to install; none may log what it receives.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from gateway.network.daemon_thread import run_in_daemon_thread
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.vault.sources.source import MALFORMED, UNAVAILABLE, SourceError, member

THREADS: Final = 16
T = TypeVar("T")


def extra(module: str, name: str) -> Any:
    """A module of the extra `name`; raises `SourceError` with the install hint without it."""
    # At debug level these libraries log whole replies, and so keys.
    logging.getLogger(module.partition(".")[0]).setLevel(logging.WARNING)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        hint = f"its library is missing: pip install 'invopop-gateway[{name}]'"
        raise SourceError(UNAVAILABLE, f"{name}: {hint}") from None


class Threads:
    """A store's own threads, at most `THREADS` at once: a store that hangs uses up no others."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._free = asyncio.Semaphore(THREADS)
        self._closed = False

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns or raises, in a thread. Raises `SourceError` after `close`."""
        await self._free.acquire()
        if self._closed:
            self._free.release()
            raise SourceError(UNAVAILABLE, f"{self._name}: closed")
        called = run_in_daemon_thread(partial(function, *arguments), self._name)
        called.add_done_callback(self._ended)
        # Whoever waits may give up; the thread goes on, and counts until it ends.
        return await asyncio.shield(called)

    async def read(self, get: Callable[[str, str], object], source: KeySource) -> Secret:
        """What `get(reference, place)` finds, or the source's field of it."""
        place = source.describe()
        text = await self.run(get, source.reference, place)
        if not isinstance(text, str):
            raise SourceError(MALFORMED, f"{place}: the secret is not text")
        return Secret(member(text, source.field, place))

    def close(self) -> None:
        """Accepts no more work; a call that hangs ends by its own timeout."""
        self._closed = True

    def _ended(self, called: "asyncio.Future[Any]") -> None:
        self._free.release()
        if not called.cancelled():
            called.exception()  # if nobody waits any more, nobody else looks at it
