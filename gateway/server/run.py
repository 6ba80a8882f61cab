"""The life of the process: open, ready, serve, drain, end; and the code that it ends with.

Rule: a listener accepts only once its app has started; a request that has begun to arrive when the
listener closes is answered, unless the time for that is over.
"""

import asyncio
import signal
import ssl
import time
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import uvloop

from gateway.asgi import App
from gateway.errors import ConfigurationError, Problem
from gateway.events import Emit, Event, ExchangeEnded, Noticed
from gateway.identity.listener_tls import Renew
from gateway.observe.logs import describe_exception
from gateway.server.connections import per_peer
from gateway.server.listener import ConnectionLimits, Listener
from gateway.server.listener_server import ListenerServer
from gateway.server.sockets import Sockets, open_admin, open_callers
from gateway.settings.schema import Settings

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
_ADMIN_SECONDS: Final = 2.0
_FORCED_SECONDS: Final = 0.5


class Service(NamedTuple):
    """What is served. `on_drain` is called once, when the end has been asked for; `on_ready` once,
    when every listener listens.

    `on_bound` gets a function that lets other settings, and another certificate for callers (None:
    the same), take effect while it serves; its sockets stay as they are.
    Both apps may have an ASGI life span. The admin app's is started first, and ended last.
    """

    callers: App
    admin: App
    emit: Emit
    new_request_id: Callable[[], str]
    on_drain: Callable[[], None]
    on_bound: Callable[[Renew], None] = lambda _: None
    on_ready: Callable[[], None] = lambda: None


def run_to_end(serving: Coroutine[Any, Any, int]) -> int:
    """Runs `run(...)` on a fresh uvloop; its exit code. Raises what `run` raises."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serving)


async def run(service: Service, settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT: 0 after an orderly drain, 1 if a second one cut it short.

    Raises `ConfigurationError` if an address is unavailable, and whatever an app's start-up raises.
    """
    with StopSignals() as signals:
        asyncio.get_running_loop().set_exception_handler(_loop_error_logger(service.emit))
        life = asyncio.create_task(_live(service, settings, signals.asked))
        forced = asyncio.create_task(signals.forced.wait())
        await asyncio.wait((life, forced), return_when=asyncio.FIRST_COMPLETED)
        if life.done():
            forced.cancel()
            return life.result()
        life.cancel()
        await asyncio.wait((life,), timeout=_FORCED_SECONDS)
        return 1


class StopSignals:
    """SIGTERM and SIGINT: the first asks for an orderly end, the second for an immediate one.

    Handled while it is entered; afterwards they have their default effect again.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.asked = asyncio.Event()
        self.forced = asyncio.Event()

    def __enter__(self) -> Self:
        for number in _STOP_SIGNALS:
            self._loop.add_signal_handler(number, self._received)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number in _STOP_SIGNALS:
            self._loop.remove_signal_handler(number)

    def _received(self) -> None:
        if self.asked.is_set():
            self.forced.set()
        self.asked.set()


async def _live(service: Service, settings: Settings, asked: asyncio.Event) -> int:
    admin, callers = _bound_servers(service, settings)
    listen = settings.listen

    async def renew(new: Settings, tls: ssl.SSLContext | None, *, retire: bool) -> None:
        nonlocal listen
        listen = new.listen
        callers.limit(_callers_limits(new))
        admin.limit(_admin_limits(new))
        if tls is not None:
            await callers.renew(tls, retire=retire)

    service.on_bound(renew)
    try:
        if await _opened((admin, callers), asked):
            service.on_ready()
            await asked.wait()
            service.on_drain()
            callers.announce_close()
            _log_drain(service.emit, "drain_started", {"timeout": listen.drain_timeout})
            since = time.monotonic()
            await asyncio.sleep(listen.drain_delay)
            cut = await callers.drain(listen.drain_timeout)
            seconds = round(time.monotonic() - since, 3)
            _log_drain(service.emit, "drain_ended", {"seconds": seconds, "requests_cut": cut})
            await admin.drain(_ADMIN_SECONDS)
    finally:
        callers.abort()
        admin.abort()
    return 0


def _log_drain(emit: Emit, name: str, fields: dict[str, Any]) -> None:
    emit(Noticed(name, "warning" if fields.get("requests_cut") else "info", fields))


async def _opened(servers: tuple[ListenerServer, ...], asked: asyncio.Event) -> bool:
    """Opens one after the other; false if the end was asked for before all of them are open."""

    async def opening() -> None:
        for server in servers:
            await server.open()

    start, stop = asyncio.create_task(opening()), asyncio.create_task(asked.wait())
    try:
        await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            start.result()
        return start.done()
    finally:
        start.cancel()
        stop.cancel()


def _bound_servers(service: Service, settings: Settings) -> tuple[ListenerServer, ListenerServer]:
    """Binds every address before anything starts, so that all taken ones are known at once."""
    opened: list[Sockets] = []
    problems: list[Problem] = []
    for opening in (partial(open_admin, settings.admin), partial(open_callers, settings.listen)):
        try:
            opened.append(opening())
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        for sockets in opened:
            sockets.close()
        raise ConfigurationError(problems)
    request_id, uncounted = service.new_request_id, _uncounted(service.emit)
    admin = Listener(service.admin, _admin_limits(settings), request_id, uncounted, "admin")
    callers = Listener(service.callers, _callers_limits(settings), request_id, service.emit)
    return ListenerServer("admin", admin, opened[0]), ListenerServer("callers", callers, opened[1])


def _callers_limits(settings: Settings) -> ConnectionLimits:
    listen, limits = settings.listen, settings.limits
    return ConnectionLimits(
        header_timeout=listen.header_timeout,
        body_timeout=listen.body_timeout,
        write_timeout=listen.write_timeout,
        min_rate=listen.min_rate,
        idle_timeout=listen.idle_timeout,
        max_header_bytes=limits.max_header_bytes,
        max_headers=limits.max_headers,
        max_connections=listen.max_connections,
        max_connections_per_peer=per_peer(listen.max_connections_per_peer, listen.max_connections),
    )


def _admin_limits(settings: Settings) -> ConnectionLimits:
    """The callers' limits, but for the number of connections."""
    most = settings.admin.max_connections
    return _callers_limits(settings)._replace(
        max_connections=most, max_connections_per_peer=per_peer(0, most)
    )


def _uncounted(emit: Emit) -> Emit:
    """Requests of operators and scrapers are not exchanges."""

    def filtered(event: Event) -> None:
        if not isinstance(event, ExchangeEnded):
            emit(event)

    return filtered


def _loop_error_logger(emit: Emit) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Logs an exception that reached only the event loop, without its text."""

    def log(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # What follows the first words may be the `repr` of arguments.
        what = str(context["message"]).partition(" in callback ")[0]
        fields = {"message": what} | describe_exception(context.get("exception"))
        emit(Noticed("loop_error", "error", fields))

    return log
