"""Numbers and times in words for the status page. Pure. Times are UTC."""

from datetime import UTC, datetime
from typing import Final

_NONE: Final = "–"
_DAY: Final = 86_400
_UNITS: Final = ((_DAY, "d"), (3_600, "h"), (60, "min"))


def clock(at: float) -> str:
    """The time of day of seconds since the epoch."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def moment(at: float) -> str:
    """Date and time of seconds since the epoch, as HTML's `datetime` and JSON readers take it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(at: float) -> str:
    """The date alone."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def span(seconds: float) -> str:
    """A length of time in its largest two units: "3 d 4 h", "12 s"."""
    left = max(0, int(seconds))
    if left < 60:
        return f"{left} s"
    words = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2])


def ago(at: float, now: float) -> str:
    """How long before now."""
    seconds = now - at
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def until(at: float, now: float) -> str:
    """How long it is until then, or since; in whole days if it is several."""
    apart = span(abs(at - now)) if abs(at - now) < 2 * _DAY else f"{abs(at - now) / _DAY:.0f} d"
    return f"in {apart}" if at > now else f"{apart} ago"


def duration(seconds: float | None) -> str:
    """A latency, in two or three digits."""
    if seconds is None:
        return _NONE
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.3g} s"


def percent(share: float | None) -> str:
    """A share; tiny ones are not rounded away."""
    if share is None:
        return _NONE
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{share * 100:.0f} %" if share >= 0.1 or not share else f"{share * 100:.1f} %"


def rate(per_second: float) -> str:
    """A number a second."""
    if 0 < per_second < 0.05:
        return "<0.1"
    return f"{per_second:,.1f}" if per_second < 100 else f"{per_second:,.0f}"
