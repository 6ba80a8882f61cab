"""Whether a caller sends or reads at the rate that is asked of it. Decides; time comes in as `now`.

Rule: only time in which it is the caller's turn counts, not what the gateway or Invopop take.
"""


class Pace:
    """The pace of one direction. `rate` is bytes per second, 0 asks for nothing.

    `grace` is for how many seconds a caller may fall behind. No more is ever on credit: what moved
    fast long ago does not excuse a trickle. Nor is more ever taken off for one pause: how long that
    may be has a limit of its own.
    """

    __slots__ = ("_credit", "_grace", "_most", "_rate", "_since")

    def __init__(self, rate: float, grace: float) -> None:
        self._rate = rate
        self._grace = grace
        self._credit = self._most = rate * grace  # bytes
        self._since: float | None = None

    def turn(self, now: float) -> None:
        """From `now` on it is the caller's turn, if it was not already."""
        if self._since is None:
            self._since = now

    def moved(self, size: int, now: float) -> bool:
        """Counts bytes of the caller's; whether it keeps the pace."""
        if self._since is not None:
            self._credit -= min(now - self._since, self._grace) * self._rate
            self._since = now
        self._credit = min(self._credit + size, self._most)
        return self._credit >= 0

    def hold(self, size: int, now: float) -> None:
        """Counts bytes of the caller's, whose turn is over: its time stands still."""
        self.moved(size, now)
        self._since = None
