"""Refusals without a known caller, for a log: the first of each kind, then one line with a count.

Anyone can cause them at will; without this a single connection could fill the disk.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from gateway.model import Exchange

SECONDS: Final = 1.0  # refusals are counted together for so long
MAX_KINDS: Final = 16  # of one peer's refusals, that have a whole line each, in that time
MAX_PEERS: Final = 64  # that are told apart, in that time; later ones are counted as `OTHERS`
MAX_LINES: Final = 128  # whole ones of all peers, in that time
OTHERS: Final = "other"
EVENT: Final = "requests_refused"


class _Peer:
    """The refusals of one peer in this second; `count` is of those without a line."""

    __slots__ = ("count", "errors", "first", "kinds", "last")

    def __init__(self) -> None:
        self.kinds: set[tuple[int | str, ...]] = set()
        self.count = 0
        self.first = self.last = 0.0
        self.errors: dict[str, int] = {}


class RefusalFloods:
    """`report` gets the fields of each line with a count, about a second after the first one."""

    def __init__(self, report: Callable[[dict[str, Any]], None]) -> None:
        self._report = report
        self._peers: dict[str, _Peer] = {}
        self._lines = 0
        self._ends = 0.0
        self._scheduled = False

    def admits(self, x: Exchange) -> bool:
        """Whether an exchange without a caller gets a line of its own; if not, it is counted.

        Needs a running event loop.
        """
        if x.status < 400:
            return True
        if (now := time.monotonic()) >= self._ends:
            self.flush()
            self._ends = now + SECONDS
        name = x.peer
        if name not in self._peers and len(self._peers) >= MAX_PEERS:
            name = OTHERS
        peer = self._peers.setdefault(name, _Peer())
        kind = (x.status, x.error, x.cause, x.method, x.issuer, x.subject)
        if (
            name != OTHERS
            and kind not in peer.kinds
            and len(peer.kinds) < MAX_KINDS
            and self._lines < MAX_LINES
        ):
            peer.kinds.add(kind)
            self._lines += 1
            return True
        self._count(peer, x.error or x.cause)
        return False

    def flush(self) -> None:
        """Reports what was counted, and begins again."""
        peers, self._peers, self._lines = self._peers, {}, 0
        for name, peer in peers.items():
            if peer.count:
                span = {"first": _text(peer.first), "last": _text(peer.last)}
                self._report({"peer": name, "count": peer.count, **span, "errors": peer.errors})

    def _count(self, peer: _Peer, error: str) -> None:
        peer.last = time.time()
        peer.first = peer.first or peer.last
        peer.count += 1
        peer.errors[error] = peer.errors.get(error, 0) + 1
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        delay = max(self._ends - time.monotonic(), 0.001)
        asyncio.get_running_loop().call_later(delay, self._expired)

    def _expired(self) -> None:
        self._scheduled = False
        if time.monotonic() >= self._ends:
            self.flush()
        else:  # of an earlier second, or a hair too soon
            self._schedule()


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
