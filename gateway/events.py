"""What happened, as values: every component emits them, observers subscribe to them."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

from gateway.errors import UpstreamErrorKind
from gateway.model import Exchange, SlotName

Outcome = Literal["success", "failure"]
Level = Literal["debug", "info", "warning", "error"]
TlsFailureReason = Literal[
    "http_request",  # plain HTTP to a TLS port
    "tls_on_plain_port",
    "protocol_version",
    "no_shared_cipher",
    "certificate_unknown_ca",
    "certificate_expired",
    "certificate_not_yet_valid",
    "certificate_invalid",
    "server_name",  # in a tunnel: not the name that CONNECT asked for
    "alert_received",  # the caller refused ours
    "closed",
    "timeout",
    "malformed",
]
ConnectionRefusal = Literal["max_connections", "max_connections_per_peer"]
RetryReason = Literal["connect", "stale", "status_502", "status_503", "status_504", "status_429"]


class ExchangeEnded:
    """A request has been answered, refused, cut or left; the record is final."""

    __slots__ = ("exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange


class UpstreamFailed(NamedTuple):
    """An attempt at Invopop failed, or its reply broke off."""

    kind: UpstreamErrorKind
    request_id: str


class UpstreamRetried(NamedTuple):
    """A request is about to be sent again."""

    reason: RetryReason


class UpstreamConnected(NamedTuple):
    """An attempt to connect to Invopop ended."""

    outcome: Literal["success", UpstreamErrorKind]


class CircuitChanged(NamedTuple):
    """The circuit has opened, so that requests are refused at once, or closed.

    `reason` says why, in a few words for people. `file_host` is whose circuit, or "" for Invopop's.
    """

    open: bool
    reason: str
    file_host: str = ""


class TlsHandshakeFailed(NamedTuple):
    """A TLS handshake with somebody who connected to `listener` ("callers" or "admin") failed."""

    listener: str
    reason: TlsFailureReason


class ConnectionRefused(NamedTuple):
    """A connection to `listener` ("callers" or "admin") was closed: too many were open."""

    listener: str
    reason: ConnectionRefusal


class NameLookedUp(NamedTuple):
    """A name was looked up; `seconds` is how long that took."""

    outcome: Outcome
    seconds: float


class KeyEchoed(NamedTuple):
    """A response header contained the key; it was masked."""

    tenant: str


class KeyRejected(NamedTuple):
    """Invopop answered 401 to a tenant's key."""

    tenant: str
    slot: SlotName
    fingerprint: str


class KeyChanged(NamedTuple):
    """A tenant's key replaced another, `previous`; both are fingerprints."""

    tenant: str
    slot: SlotName
    fingerprint: str
    previous: str


class KeyRefreshed(NamedTuple):
    """A key was read from its source.

    If a store does not have a tenant that is not listed, that is a success with a `reason`.
    """

    tenant: str
    source: str
    outcome: Outcome
    reason: str = ""


class JwksRefreshed(NamedTuple):
    """An issuer's key set was read; `reason` says why that failed."""

    issuer: str
    outcome: Outcome
    reason: str = ""


class ConfigReloaded(NamedTuple):
    """A reload was tried; `problems` say why it failed."""

    outcome: Outcome
    problems: tuple[str, ...] = ()
    restart_required: tuple[str, ...] = ()


class Noticed(NamedTuple):
    """A line for the log about the life cycle, or a warning: its name, level and fields."""

    name: str
    level: Level
    fields: dict[str, Any]


Event = (
    ExchangeEnded
    | UpstreamFailed
    | UpstreamRetried
    | UpstreamConnected
    | CircuitChanged
    | NameLookedUp
    | TlsHandshakeFailed
    | ConnectionRefused
    | KeyEchoed
    | KeyRejected
    | KeyChanged
    | KeyRefreshed
    | JwksRefreshed
    | ConfigReloaded
    | Noticed
)
Emit = Callable[[Event], None]
E = TypeVar("E", bound=Event)


class Events:
    """Hands each event to the subscribers of its type, in the order they subscribed."""

    def __init__(self) -> None:
        self._subscribers: dict[type[Any], list[Callable[[Any], None]]] = {}

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        """Calls `subscriber` for every later event of exactly that type."""
        self._subscribers.setdefault(kind, []).append(subscriber)

    def emit(self, event: Event) -> None:
        """Calls the subscribers now. They must not block and must not raise."""
        for subscriber in self._subscribers.get(type(event), ()):
            subscriber(event)


class BatchingEvents(Events):
    """Hands on the exchanges that ended in one turn of the event loop after it; all else at once.

    One subscriber gets all those exchanges, then the next: so its code and data are still in the
    processor's caches, which makes observing cheaper by a third. Needs a running event loop.
    """

    def __init__(self, events: Events) -> None:
        super().__init__()
        self._events = events
        self._ended: list[ExchangeEnded] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        events.subscribe(ExchangeEnded, self._keep)

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        """Calls `subscriber` for every later event of exactly that type."""
        if kind is ExchangeEnded:
            super().subscribe(kind, subscriber)
        else:
            self._events.subscribe(kind, subscriber)

    def _keep(self, event: ExchangeEnded) -> None:
        if not self._ended:
            if self._loop is None:
                self._loop = asyncio.get_running_loop()
            self._loop.call_soon(self._emit_batch)
        self._ended.append(event)

    def _emit_batch(self) -> None:
        ended, self._ended = self._ended, []
        for subscriber in self._subscribers.get(ExchangeEnded, ()):
            for event in ended:
                subscriber(event)
