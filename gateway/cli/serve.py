"""`serve`: runs the gateway until SIGTERM or SIGINT."""

import asyncio
import os
import signal
import sys
from contextlib import ExitStack

import typer

from gateway.app import open_gateway
from gateway.cli.configuration import ConfigOption, fail, load_or_exit
from gateway.errors import ConfigurationError
from gateway.observe.logs import Logger, bridge_library_logs
from gateway.observe.writer import LineWriter
from gateway.server.run import Service, run, run_to_end
from gateway.settings.load import Loaded


def serve(config: ConfigOption = None) -> None:
    """Run the gateway."""
    loaded = load_or_exit(config)
    try:
        with ExitStack() as at_end:
            writer = LineWriter(sys.stdout.fileno())
            at_end.callback(writer.close)
            code = run_to_end(_serve(loaded, writer, at_end))
    except ConfigurationError as error:
        file = str(loaded.file)
        fail(ConfigurationError(p._replace(file=p.file or file) for p in error.problems))
    raise typer.Exit(code)


async def _serve(loaded: Loaded, writer: LineWriter, at_end: ExitStack) -> int:
    settings = loaded.settings
    logger = Logger(writer, settings.log.level, settings.log.format)
    bridge_library_logs(logger)
    gateway = await open_gateway(loaded, os.environ, logger)
    at_end.callback(gateway.observers.audit_and_traces.close)
    gateway.observers.audit_and_traces.open(gateway.services, gateway.events)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, gateway.reloader.ask)
    service = Service(
        gateway.callers,
        gateway.admin,
        gateway.events.emit,
        gateway.new_request_id,
        gateway.drain,
        gateway.in_use.listener_tls.on_bound,
    )
    return await run(service, settings)
