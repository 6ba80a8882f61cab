"""Callers and issuers as rows for the status page. Pure.

Law: tells how a caller is known, never by what: no token, not even its hash.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from gateway.admin.history import History, Usage
from gateway.admin.recent_events import RecentEvents
from gateway.admin.view import CallerRow, Callers, IssuerRow
from gateway.identity.authenticator import IssuerState
from gateway.settings.callers import CallerSettings, CallerToken, Issuer
from gateway.settings.schema import Settings

MOST: Final = 50
_MOST_TENANTS: Final = 8
_NEVER: Final = Usage()


def callers(settings: Settings, history: History, offset: float) -> Callers:
    """Those seen last first. `offset` makes seconds since the epoch of `perf_counter`'s."""
    usage = dict(history.usage)
    names = sorted(settings.callers, key=lambda n: (-usage.get(n, _NEVER).last, n))
    only = len(settings.issuers) == 1
    rows = tuple(
        _caller(name, settings.callers[name], usage.get(name, _NEVER), offset, only=only)
        for name in names[:MOST]
    )
    return Callers(len(names), usage.get("", _NEVER).requests, rows)


def issuers(
    settings: Settings, states: Sequence[IssuerState], recent_events: RecentEvents
) -> tuple[IssuerRow, ...]:
    """Each configured issuer, and how its keys stand."""
    remote = {state.issuer: state for state in states}
    return tuple(
        _issuer(issuer, remote.get(issuer.issuer), recent_events)
        for issuer in settings.issuers[:MOST]
    )


def _caller(
    name: str, settings: CallerSettings, usage: Usage, offset: float, *, only: bool
) -> CallerRow:
    return CallerRow(
        name=name,
        known_by=tuple(_ways(settings, only=only)),
        tenants=settings.tenants[:_MOST_TENANTS],
        more_tenants=max(0, len(settings.tenants) - _MOST_TENANTS),
        allowed=_allowed(settings),
        enforced=settings.enforce,
        requests=usage.requests,
        refused=usage.refused,
        failed=usage.failed,
        last_seen=usage.last + offset if usage.requests else None,
    )


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


def _issuer(issuer: Issuer, state: IssuerState | None, recent_events: RecentEvents) -> IssuerRow:
    refresh = recent_events.refreshes.get(issuer.issuer) if state else None
    return IssuerRow(
        issuer=issuer.issuer,
        audience=issuer.audience,
        keys=_keys(issuer),
        algorithms=", ".join(issuer.algorithms),
        state=_state(state),
        reason=refresh.reason if refresh else "",
        refreshed_at=refresh.at if refresh else None,
    )


def _state(state: IssuerState | None) -> str:
    if state is not None and not state.tried:
        return "pending"
    return "ok" if state is None or state.healthy else "failing"


def _keys(issuer: Issuer) -> str:
    if issuer.jwks_file:
        return f"file {issuer.jwks_file.name}"
    if issuer.public_key_file:
        return f"file {issuer.public_key_file.name}"
    if issuer.secret:
        return "shared secret"
    return (issuer.jwks_url or "OpenID discovery").partition("?")[0]
