"""What the status page shows of a caller, besides what its policy and its exchanges tell. Pure.

All that is kept of callers' settings in force: there may be very many of them.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from gateway.settings.callers import CallerSettings, CallerToken
from gateway.settings.schema import Settings


class ShownCaller(NamedTuple):
    """What is shown of a caller's settings, besides what its policy knows."""

    known_by: tuple[str, ...]
    allowed: str


def shown_callers(settings: Settings) -> dict[str, ShownCaller]:
    """By name. There may be very many callers, of which most are shown alike: those share one."""
    only = len(settings.issuers) == 1
    kinds: dict[ShownCaller, ShownCaller] = {}
    found = {}
    for name, caller in settings.callers.items():
        shown = ShownCaller(tuple(_ways(caller, only=only)), _allowed(caller))
        found[name] = kinds.setdefault(shown, shown)
    return found


def _ways(settings: CallerSettings, *, only: bool) -> Iterator[str]:
    if settings.tokens:
        yield _counted(len(settings.tokens), "token") + _ends(settings.tokens)
    if settings.issuers or (settings.issuers is None and only):
        yield "JSON Web Token"
    if settings.certificates:
        yield _counted(len(settings.certificates), "certificate")
    networks = settings.networks
    yield from networks[:3]
    if len(networks) > 3:
        yield f"{len(networks) - 3} more networks"


def _ends(tokens: Sequence[CallerToken]) -> str:
    ends: list[date] = [token.expires for token in tokens if token.expires is not None]
    return f", first ends {min(ends).isoformat()}" if ends else ""


def _allowed(settings: CallerSettings) -> str:
    text = "every operation" if settings.allow is None else _counted(len(settings.allow), "rule")
    return f"{text}, {len(settings.deny)} denied" if settings.deny else text


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
