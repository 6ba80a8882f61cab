"""The commands, a file each. Errors go to stderr as one readable block, never a traceback.

Rule: a command's module is imported when that command runs, so that none pays for another.
"""

import signal
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from gateway import __version__, is_compiled
from gateway.cli.streams import guarded

COMMANDS: Final[Mapping[str, str]] = {
    "demo": "Take a tour: the gateway in front of a sandbox Invopop.",
    "init": "Write a configuration to begin with, and print what to do next.",
    "serve": "Run the gateway.",
    "check": "Validate the configuration, and show the tenants.",
    "explain": "Say what would happen to a request and why.",
    "sandbox": "Run the sandbox Invopop alone, over TLS.",
    "keys": "Work on the vault file.",
    "tokens": "Make and hash caller tokens.",
    "schema": "Print the JSON Schema of gateway.toml or vault.toml.",
    "tunnel-ca": "Make a CA for [tunnel], and say how clients trust it.",
}
_GROUPS: Final = frozenset({"keys", "tokens"})
_STYLE: Final[dict[str, Any]] = {"pretty_exceptions_enable": False, "rich_markup_mode": None}


class _Commands(TyperGroup):
    """Lists the commands by their summaries, and imports the one that is run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: TyperCommand(name, help=text) for name, text in COMMANDS.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that `args` begin with. Raises click's `UsageError` for an unknown one."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and _imported(command.name or ""), rest


def _imported(name: str) -> Any:
    """The whole command, from `gateway.cli.NAME`, which has a function of the same name."""
    module = name.replace("-", "_")
    function = getattr(import_module(f"gateway.cli.{module}"), module)
    if name != "serve" and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        # Until here an interrupt ends the program without a word; from here on it is the command's.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if name in _GROUPS:
        return typer.main.get_command(function())
    alone = typer.Typer(**_STYLE, add_completion=False)
    alone.command(name)(function)
    return typer.main.get_command(alone)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"invopop-gateway {__version__}{' (compiled)' if is_compiled() else ''}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", is_eager=True, callback=_show_version, help="Show the version."
        ),
    ] = False,
) -> None:
    """Authenticating egress gateway for the Invopop API. New here? Begin with `demo`."""


def build() -> typer.Typer:
    """The command line as one application."""
    app = typer.Typer(name="invopop-gateway", no_args_is_help=True, cls=_Commands, **_STYLE)
    app.callback()(_options)
    return app


def main() -> None:
    """The command line. Exit codes: 0 success, 1 a problem, a failure, or interrupted; 2 usage."""
    with guarded():
        try:
            build()()
        except SystemExit as end:
            # What newer versions of typer say of an interrupt; older ones say 1.
            raise SystemExit(1 if end.code == 130 else end.code) from None
