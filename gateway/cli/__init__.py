"""The commands, a file each. Errors go to stderr as one readable block, never a traceback."""

from typing import Annotated

import typer

from gateway import __version__
from gateway.cli.check import check
from gateway.cli.demo import demo
from gateway.cli.explain import explain
from gateway.cli.keys import keys
from gateway.cli.sandbox import sandbox
from gateway.cli.serve import serve
from gateway.cli.streams import guarded
from gateway.cli.tokens import tokens


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"invopop-gateway {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_show_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Authenticating egress gateway for the Invopop API. New here? Begin with `demo`."""


def build() -> typer.Typer:
    """The command line as one application."""
    app = typer.Typer(
        name="invopop-gateway",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    for command in (demo, serve, check, explain, sandbox):
        app.command()(command)
    app.add_typer(keys(), name="keys")
    app.add_typer(tokens(), name="tokens")
    return app


def main() -> None:
    """The command line. Exit codes: 0 success, 1 a problem, a failure, or interrupted; 2 usage."""
    with guarded():
        try:
            build()()
        except SystemExit as end:
            # What newer versions of typer say of an interrupt; older ones say 1.
            raise SystemExit(1 if end.code == 130 else end.code) from None
