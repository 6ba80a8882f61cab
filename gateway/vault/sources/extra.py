"""Client libraries that not everyone installs, and threads for those that block.

Law: a missing library is a finding with its remedy; none of them may log what it receives.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

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
    """A store's own threads: one that hangs takes nobody else's."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix=name)

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns or raises, in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(function, *arguments))

    async def read(self, get: Callable[[str, str], object], source: KeySource) -> Secret:
        """What `get` finds at the reference (it is told the place, too), or that member of it."""
        place = source.describe()
        text = await self.run(get, source.reference, place)
        if not isinstance(text, str):
            raise SourceError(MALFORMED, f"{place}: the secret is no text")
        return Secret(member(text, source.field, place))

    def close(self) -> None:
        """Takes no more work; a call that hangs ends with its own time-out."""
        self._pool.shutdown(wait=False, cancel_futures=True)
