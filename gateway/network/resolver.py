"""Names to addresses: one look-up per name, shared by all who wait for it, and kept for a while.

Rule: the system's own resolver does it (/etc/hosts, search domains, ndots, both families), in a
thread per name that nothing else waits for: a name that hangs delays nobody who asks for another.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, Final, NamedTuple

from gateway.events import Emit, Event, NameLookedUp
from gateway.network.daemon_thread import run_in_daemon_thread

KEPT: Final = 10.0  # seconds for which an answer is used without asking again
SERVED_STALE: Final = 60.0  # seconds until a new answer is waited for, for at most PATIENCE
PATIENCE: Final = 1.0
KEPT_AT_MOST: Final = 3600.0  # seconds for which an old answer does if there is no new one
_MOST_NAMES: Final = 256  # names are the operator's, but for where issuers' discovery points

Address = tuple[int, tuple[Any, ...]]  # family and socket address, the port 0


class Resolution(NamedTuple):
    """A name's addresses in the resolver's order (RFC 6724).

    `stale` if a look-up is under way that may bring others: `Resolver.settled` waits for it.
    """

    addresses: tuple[Address, ...]
    stale: bool


class _Name:
    """What is known of one name."""

    __slots__ = ("addresses", "answered", "host", "looking")

    def __init__(self, host: str) -> None:
        self.host = host
        self.addresses: tuple[Address, ...] = ()
        self.answered = -inf
        self.looking: asyncio.Future[tuple[Address, ...]] | None = None


def _ignore(_: Event) -> None:
    """For programs that observe nothing."""


class Resolver:
    """Resolves names for one purpose, in one event loop. `clock` is monotonic, in seconds."""

    def __init__(self, emit: Emit = _ignore, clock: Callable[[], float] = time.monotonic) -> None:
        self._emit = emit
        self._clock = clock
        self._names: dict[str, _Name] = {}

    async def resolve(self, host: str) -> Resolution:
        """The addresses of a name, or of a numeric address itself, without a look-up.

        A final dot makes a name absolute: no search domain is tried. Raises `socket.gaierror`.
        """
        numeric = _numeric(host)
        if numeric:
            return Resolution(numeric, stale=False)
        name = self._names.get(host) or self._add(host)
        age = self._clock() - name.answered
        if age < KEPT:
            return Resolution(name.addresses, stale=False)
        looking = name.looking or self._look_up(name)
        if age >= SERVED_STALE:
            await asyncio.wait((looking,), timeout=PATIENCE if age < KEPT_AT_MOST else None)
            if age >= KEPT_AT_MOST and (error := looking.exception()) is not None:
                raise socket.gaierror(*error.args)
        return Resolution(name.addresses, stale=not looking.done())

    async def settled(self, host: str) -> None:
        """Waits for the end of the look-up of that name that is under way, if one is."""
        name = self._names.get(host)
        if name is not None and name.looking is not None:
            await asyncio.wait((name.looking,))

    def unanswered(self, host: str) -> bool:
        """Whether the first answer for a name is still waited for."""
        name = self._names.get(host)
        return name is not None and name.looking is not None and not name.addresses

    def _add(self, host: str) -> _Name:
        if len(self._names) >= _MOST_NAMES:
            del self._names[next(iter(self._names))]
        self._names[host] = name = _Name(host)
        return name

    def _look_up(self, name: _Name) -> "asyncio.Future[tuple[Address, ...]]":
        began = self._clock()
        try:
            looking = run_in_daemon_thread(partial(_addresses, name.host), "resolver")
        except RuntimeError:
            raise socket.gaierror(socket.EAI_AGAIN, "no thread to resolve names in") from None
        # Added first, so that those who wait find its outcome noted.
        looking.add_done_callback(partial(self._looked_up, name, began))
        name.looking = looking
        return looking

    def _looked_up(
        self, name: _Name, began: float, looking: "asyncio.Future[tuple[Address, ...]]"
    ) -> None:
        name.looking = None
        failed = looking.cancelled() or looking.exception() is not None
        now = self._clock()
        if not failed:
            name.addresses, name.answered = looking.result(), now
        self._emit(NameLookedUp("failure" if failed else "success", now - began))


def _numeric(host: str) -> tuple[Address, ...]:
    """The address that a host is already, if so. Asks nobody: AI_NUMERICHOST."""
    if not (host[:1].isdigit() or ":" in host):
        return ()
    try:
        return _addresses(host, socket.AI_NUMERICHOST)
    except socket.gaierror:
        return ()


def _addresses(host: str, flags: int = 0) -> tuple[Address, ...]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    except (UnicodeError, ValueError):
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    return tuple(dict.fromkeys((entry[0], entry[4]) for entry in found))
