"""`sandbox`: the emulated Invopop alone, for developing against it without an account."""

import asyncio
import secrets
import signal
from pathlib import Path
from typing import Annotated

import typer

from gateway.sandbox.certificates import write_private
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import FileHosts, RunningSandbox, running
from gateway.sandbox.webhooks import Receiver, is_local


def _names(texts: list[str]) -> FileHosts:
    if len(texts) > 2:
        raise typer.BadParameter("at most two names are expected", param_hint="--file-host")
    return FileHosts(texts[0], texts[-1]) if texts else FileHosts()


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
    file_port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="N", help="Port that serves files; 0 is any free."),
    ] = 0,
    file_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Host in the URLs of files, such as silo.invopop.com; a second one for uploads.",
        ),
    ] = None,
    webhook: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Send webhooks of jobs to this URL on this machine, with the bearer token in "
            "D/webhook.token.",
        ),
    ] = "",
) -> None:
    """Run the sandbox Invopop alone, over TLS."""
    if webhook and not is_local(webhook):
        raise typer.BadParameter(
            "an http or https URL on this machine is expected, such as http://127.0.0.1:8000/",
            param_hint="--webhook",
        )
    files = _names(file_host or [])._replace(port=file_port)
    try:
        receiver = Receiver(webhook, _token(directory)) if webhook else None
        asyncio.run(_serve(port, directory, files, receiver))
    except OSError as error:
        typer.echo(f"error: the sandbox cannot start: {error.strerror}", err=True)
        raise typer.Exit(1) from None


def _token(directory: Path) -> str:
    """The token that webhooks show: what `webhook.token` holds, or a fresh one put there."""
    path = directory / "webhook.token"
    if path.exists():
        return path.read_text().strip()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = secrets.token_urlsafe(32)
    write_private(path, token.encode() + b"\n")
    return token


async def _serve(port: int, directory: Path, files: FileHosts, receiver: Receiver | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    async with running(Sandbox(), port=port, files=files, webhook=receiver) as served:
        _introduce(served, directory, receiver)
        await stop.wait()


def _introduce(served: RunningSandbox, directory: Path, receiver: Receiver | None) -> None:
    written = served.write_samples(directory)
    url = f"https://localhost:{served.port}"
    typer.echo(f"sandbox Invopop listens on {url}")
    typer.echo(f"its files are at {served.sandbox.files.downloads}")
    for name, path in written.items():
        typer.echo(f"  {name:16} {path}")
    if receiver is not None:
        typer.echo(f"webhooks go to {receiver.url}, with the bearer token in webhook.token")
    typer.echo("Try it:")
    typer.echo(
        f"  curl --cacert {written['ca.pem']} "
        f'-H "Authorization: Bearer $(cat {written["acme.key"]})" {url}/auth/version'
    )
