"""`demo`: the sandbox Invopop over TLS, the real gateway in front of it, and a tour of requests."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated

import typer


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the tour.")] = False,
) -> None:
    """Take a tour: the gateway before a sandbox Invopop."""
    from gateway.cli.showing import show  # noqa: PLC0415 - rich and the sandbox: for this only

    with tempfile.TemporaryDirectory(prefix="invopop-gateway-demo-") as folder:
        try:
            went_well = asyncio.run(show(Path(folder), once))
        except KeyboardInterrupt:
            went_well = True
    raise typer.Exit(0 if went_well else 1)
