"""`demo`: the sandbox Invopop over TLS, the real gateway in front of it, and a tour of requests."""

import asyncio
import io
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the tour.")] = False,
) -> None:
    """Take a tour: the gateway before a sandbox Invopop."""
    from gateway.cli.showing import show  # noqa: PLC0415 - rich and the sandbox: for this only

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these signs still gets words

    with tempfile.TemporaryDirectory(prefix="invopop-gateway-demo-") as folder:
        try:
            went_well = asyncio.run(show(Path(folder), once))
        except KeyboardInterrupt:
            went_well = True
        except (OSError, TimeoutError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "too slow"
            typer.echo(f"error: the demo cannot go on: {reason}", err=True)
            raise typer.Exit(1) from None
    raise typer.Exit(0 if went_well else 1)
