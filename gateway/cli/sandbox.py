"""`sandbox`: the emulated Invopop alone, for developing against it without an account."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import running


def sandbox(
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="N", help="Port to listen on; 0 is any free one."),
    ] = 0,
    directory: Annotated[
        Path,
        typer.Option(
            "--dir", metavar="D", help="Where the CA certificate and sample keys are written."
        ),
    ] = Path("sandbox-data"),
) -> None:
    """Run the sandbox Invopop alone, over TLS."""
    try:
        asyncio.run(_serve(port, directory))
    except OSError as error:
        typer.echo(f"error: the sandbox cannot start: {error.strerror}", err=True)
        raise typer.Exit(1) from None


async def _serve(port: int, directory: Path) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(Sandbox(), port=port) as served:
        files = served.write_samples(directory)
        url = f"https://localhost:{served.port}"
        typer.echo(f"sandbox Invopop listens on {url}")
        for name, path in files.items():
            typer.echo(f"  {name:12} {path}")
        typer.echo("Try it:")
        typer.echo(
            f"  curl --cacert {files['ca.pem']} "
            f'-H "Authorization: Bearer $(cat {files["acme.key"]})" {url}/auth/version'
        )
        await stop.wait()
