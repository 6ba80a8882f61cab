"""`tokens new CALLER` and `tokens hash`: what a caller shows, and what the configuration holds."""

from datetime import UTC, date, datetime
from typing import Annotated, Final

import typer

from gateway.cli.streams import secret_line
from gateway.identity.tokens import PREFIX, hash_token, is_genuine, new_token
from gateway.settings.callers import CALLER_NAME, is_caller_name

_GUESSABLE: Final = 22  # characters: fewer hold less than 128 bits, even if they are random


def tokens() -> typer.Typer:
    """The two commands as a group."""
    group = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        help="Make and hash caller tokens.",
    )
    group.command("new")(new)
    group.command("hash")(hash_)
    return group


def _last_day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("a date such as 2027-01-31 is expected") from None
    if day < datetime.now(UTC).date():
        raise typer.BadParameter("that day is over")
    return day


def new(
    caller: Annotated[
        str, typer.Argument(metavar="CALLER", help="The name of the caller in [callers].")
    ],
    expires: Annotated[
        date | None,
        typer.Option(
            metavar="DATE",
            parser=_last_day,
            help="The last day (UTC) on which it is accepted, such as 2027-01-31.",
        ),
    ] = None,
) -> None:
    """Make a caller's token and its configuration line.

    The token is printed once and stored nowhere. Secret scanners find leaked ones by
    `igw_[0-9A-Za-z]{38}`; the last 6 are a checksum.
    """
    if not is_caller_name(caller):
        raise typer.BadParameter(f"a caller must have a name: {CALLER_NAME}", param_hint="CALLER")
    token = new_token()
    entry = f'"{hash_token(token)}"'
    if expires is not None:
        entry = f"{{ hash = {entry}, expires = {expires} }}"
    typer.echo(f"token    {token}")
    typer.echo("         Give it to the service; it is stored nowhere and not shown again.")
    typer.echo("config   in gateway.toml:")
    typer.echo(f"[callers.{_toml_key(caller)}]")
    typer.echo(f"tokens = [{entry}]")


def hash_() -> None:
    """Read a token from a prompt or stdin and print its hash for the configuration."""
    token = secret_line("Token")
    try:
        typer.echo(hash_token(token))
    except ValueError as error:
        typer.echo(f"error: found no usable token on stdin: {error}", err=True)
        raise typer.Exit(1) from None
    if token.startswith(PREFIX) and not is_genuine(token):
        typer.echo("warning: its checksum is wrong: mistyped, cut off, or not ours", err=True)
    elif len(token) < _GUESSABLE:
        typer.echo("warning: so short a token can be guessed; `tokens new` makes one", err=True)


def _toml_key(name: str) -> str:
    """A TOML key: bare where the grammar allows it, else quoted."""
    bare = name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name)
    return name if bare else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
