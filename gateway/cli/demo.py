"""`demo`: the sandbox Invopop over TLS, the real gateway in front of it, and a tour of requests."""

import asyncio
import io
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

_STOP: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the tour.")] = False,
) -> None:
    """Take a tour: the gateway in front of a sandbox Invopop."""
    from gateway.cli.showing import show  # noqa: PLC0415 - rich and the sandbox: for this only

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these signs still gets words

    async def interruptible(folder: Path) -> bool:
        """Whether all went well. Interrupted, it ends its gateway first, and has not."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(show(folder, once))
        for number in _STOP:
            loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
        try:
            return await task
        except asyncio.CancelledError:
            return False

    with tempfile.TemporaryDirectory(prefix="invopop-gateway-demo-") as folder:
        try:
            went_well = asyncio.run(interruptible(Path(folder)))
        except (OSError, TimeoutError) as error:
            reason = "the gateway was not ready in time; is this machine busy? Try again"
            if isinstance(error, OSError) and error.strerror:
                reason = error.strerror
            typer.echo(f"error: the demo cannot go on: {reason}", err=True)
            raise typer.Exit(1) from None
    raise typer.Exit(0 if went_well else 1)
