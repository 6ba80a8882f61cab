"""`serve`: runs the gateway until SIGTERM or SIGINT."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any, Final

import typer

from gateway import __version__
from gateway.app import Gateway, open_gateway
from gateway.cli.configuration import ConfigOption, fail, load_or_exit
from gateway.cli.private_memory import keep_memory_private
from gateway.errors import ConfigurationError
from gateway.events import ConfigReloaded
from gateway.observe.library_logs import bridge_library_logs
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.server.run import Service, run, run_to_end
from gateway.server.service_manager import ServiceManager
from gateway.settings.environment import attributed
from gateway.settings.load import Loaded

_STOP: Final = (signal.SIGTERM, signal.SIGINT)


def serve(config: ConfigOption = None) -> None:
    """Run the gateway."""
    keep_memory_private()
    loaded = load_or_exit(config)
    file = str(loaded.file)
    try:
        with ExitStack() as at_end:
            writer = LineWriter(sys.stdout.fileno())
            at_end.callback(writer.close)
            serving = _serve(loaded, writer, at_end)
            del loaded  # it may be large, and `serving` lets go of it
            code = run_to_end(serving)
    except ConfigurationError as error:
        fail(ConfigurationError(attributed(error.problems, file, os.environ)))
    raise typer.Exit(code)


async def _serve(loaded: Loaded, writer: LineWriter, at_end: ExitStack) -> int:
    log = loaded.settings.log
    logger = Logger(writer, log.level, log.format)
    bridge_library_logs(logger)
    gateway = await _opened(loaded, logger)
    if gateway is None:
        return 0
    observers = gateway.observers
    at_end.callback(observers.close)
    observers.open(gateway.services, gateway.events)
    logger.log("info", "process_started", _overview(loaded))
    loaded = gateway.in_use.loaded  # which is much less, and all that is needed from now on
    manager = ServiceManager(os.environ)
    at_end.callback(manager.close)
    gateway.events.subscribe(ConfigReloaded, manager.reloaded)

    def reload() -> None:
        manager.reloading()
        gateway.reloader.ask()

    def reopen() -> None:
        writer.reopen()
        observers.reopen()
        logger.log("info", "files_reopened", {})

    def drain() -> None:
        gateway.drain()
        manager.stopping()

    _handle(reload, reopen)
    service = Service(
        gateway.callers,
        gateway.admin,
        gateway.events.emit,
        gateway.new_request_id,
        drain,
        gateway.in_use.listener_tls.on_bound,
        manager.ready,
    )
    try:
        code = await run(service, loaded.settings)
        logger.log("info", "process_stopped", {"exit_code": code})
        return code
    finally:
        for number in _STOP:
            signal.signal(number, _at_once)


def _handle(reload: Callable[[], None], reopen: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    loop.add_signal_handler(signal.SIGUSR1, reopen)
    # Those that came while it started have waited until now: see `gateway.__main__`.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGUSR1})


def _overview(loaded: Loaded) -> dict[str, Any]:
    return {
        "version": __version__,
        "pid": os.getpid(),
        "config": str(loaded.file),
        "tenants": len(loaded.vault.tenants) + len(loaded.vault.sharing),
        "callers": len(loaded.settings.callers),
    }


async def _opened(loaded: Loaded, logger: Logger) -> Gateway | None:
    """The gateway; None if its end was asked for before it was there. A second ask ends it at once.

    Raises `ConfigurationError`.
    """
    loop = asyncio.get_running_loop()
    opening = loop.create_task(open_gateway(loaded, os.environ, logger))

    def stop() -> None:
        if opening.cancelling():
            os._exit(1)
        if not opening.cancel():
            os._exit(0)  # it is there, but has begun nothing

    for number in _STOP:
        loop.add_signal_handler(number, stop)
    try:
        return await opening
    except asyncio.CancelledError:
        return None


def _at_once(_number: int, _frame: FrameType | None) -> None:
    """While what is left is written and exported, a further signal ends the process."""
    os._exit(1)
