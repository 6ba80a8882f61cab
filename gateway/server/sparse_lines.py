"""Log lines that anyone who connects can cause: at most one a minute about one peer and reason.

Rule: decides and emits; does no I/O. What has no line is counted in the next one, as `unlogged`.
"""

from collections.abc import Callable
from typing import Any, Final

from gateway.events import Emit, Noticed

EVERY: Final = 60.0  # seconds between two lines about one peer and reason
MOST_LINES: Final = 10  # per second, of all peers together
_MOST_KNOWN: Final = 1024


class SparseLines:
    """The lines of one event and listener. `clock` is monotonic, in seconds."""

    def __init__(self, event: str, listener: str, emit: Emit, clock: Callable[[], float]) -> None:
        self._event = event
        self._listener = listener
        self._emit = emit
        self._clock = clock
        self._next: dict[tuple[str, str], float] = {}  # when a line may follow, by peer and reason
        self._second = 0.0
        self._lines = 0
        self._unlogged = 0

    def add(self, peer: str, reason: str, **more: Any) -> None:
        """Logs one, if it is due; fields of `more` that are empty are left out."""
        if not self._due(peer, reason):
            self._unlogged += 1
            return
        fields: dict[str, Any] = {"listener": self._listener, "peer": peer, "reason": reason}
        fields |= {name: value for name, value in more.items() if value}
        if self._unlogged:
            fields["unlogged"] = self._unlogged
            self._unlogged = 0
        self._emit(Noticed(self._event, "warning", fields))

    def _due(self, peer: str, reason: str) -> bool:
        now, about = self._clock(), (peer, reason)
        if now < self._next.get(about, now):
            return False
        if now >= self._second + 1.0:
            self._second, self._lines = now, 0
        if self._lines >= MOST_LINES:
            return False
        self._lines += 1
        self._next.pop(about, None)
        if len(self._next) >= _MOST_KNOWN:
            del self._next[next(iter(self._next))]
        self._next[about] = now + EVERY
        return True
