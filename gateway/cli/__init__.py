"""The commands, a file each. Law: errors go to stderr as one readable block, never a traceback."""

import typer

from gateway.cli.check import check
from gateway.cli.demo import demo
from gateway.cli.explain import explain
from gateway.cli.keys import keys
from gateway.cli.sandbox import sandbox
from gateway.cli.serve import serve
from gateway.cli.tokens import tokens


def build() -> typer.Typer:
    """The command line as one application."""
    app = typer.Typer(
        name="invopop-gateway",
        help="Authenticating egress gateway for the Invopop API.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for command in (demo, serve, check, explain, sandbox):
        app.command()(command)
    app.add_typer(keys(), name="keys")
    app.add_typer(tokens(), name="tokens")
    return app


def main() -> None:
    """The console script's entry point. Exit codes: 0 success, 1 a finding, 2 wrong usage."""
    build()()
