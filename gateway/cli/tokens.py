"""`tokens new CALLER` and `tokens hash`: what a caller shows, and what the configuration holds."""

import sys
from datetime import datetime
from typing import Annotated

import typer

from gateway.identity.tokens import PREFIX, hash_token, is_genuine, new_token


def tokens() -> typer.Typer:
    """The two commands as a group."""
    group = typer.Typer(no_args_is_help=True, help="Make and hash caller tokens.")
    group.command("new")(new)
    group.command("hash")(hash_)
    return group


def new(
    caller: Annotated[str, typer.Argument(help="The name of the caller in [callers].")],
    expires: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The last day (UTC) on which it is accepted."),
    ] = None,
) -> None:
    """Make a fresh token for a caller and print it, once, with its line for the configuration.

    Secret scanners find leaked ones by `igw_[0-9A-Za-z]{38}`; the last 6 are a checksum.
    """
    token = new_token()
    entry = f'"{hash_token(token)}"'
    if expires is not None:
        entry = f"{{ hash = {entry}, expires = {expires.date()} }}"
    typer.echo(f"token    {token}")
    typer.echo("         Give it to the service; it is stored nowhere and not shown again.")
    typer.echo("config   in gateway.toml:")
    typer.echo(f"[callers.{_toml_key(caller)}]")
    typer.echo(f"tokens = [{entry}]")


def hash_() -> None:
    """Read a token from stdin and print its hash for the configuration."""
    token = sys.stdin.readline().rstrip("\r\n")
    try:
        typer.echo(hash_token(token))
    except ValueError as error:
        typer.echo(f"error: found no usable token on stdin: {error}", err=True)
        raise typer.Exit(1) from None
    if token.startswith(PREFIX) and not is_genuine(token):
        typer.echo("warning: its checksum is wrong: mistyped, cut off, or not ours", err=True)


def _toml_key(name: str) -> str:
    """A TOML key: bare where the grammar allows it, else quoted."""
    bare = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if bare else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
