"""What the commands that read the configuration share: the option, and loading or explaining."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from gateway.app import Gateway, open_gateway
from gateway.cli import rights
from gateway.cli.extras import extras_problem
from gateway.errors import ConfigurationError, Problem
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.settings.load import Loaded, load
from gateway.settings.positions import located
from gateway.settings.wording import render

_USUAL: Final = Path("config/gateway.toml")
_HERE: Final = Path("gateway.toml")  # in the working directory, as `init` writes it
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Default: $INVOPOP_GATEWAY_CONFIG, else gateway.toml, else config/gateway.toml.",
        show_default=False,
    ),
]


def path_of(config: Path | None) -> Path:
    """The configuration file that is meant.

    Without being told, never one of two: exits with 1 if `gateway.toml` is in both places.
    """
    if named := config or os.environ.get("INVOPOP_GATEWAY_CONFIG"):
        return Path(named)
    own = _HERE
    if own.exists() and _USUAL.exists():
        typer.echo(f"error: {own} and {_USUAL} are both here: name one with --config", err=True)
        raise typer.Exit(1)
    return own if own.exists() else _USUAL


def load_or_exit(config: Path | None) -> Loaded:
    """Loads the configuration; where it is wrong, prints every problem and exits with 1."""
    try:
        return read(path_of(config))
    except ConfigurationError as error:
        fail(error)


def load_as_administrator(config: Path | None) -> Loaded:
    """As `load_or_exit`, for who edits or inspects what another user serves.

    Root counts as one of the service's groups: a vault file that the service may read by its group
    is as private to root as it is to the service.
    """
    if os.geteuid() == rights.ROOT and (draft := draft_of(path_of(config))) is not None:
        rights.join_groups(rights.service_user(draft.vault_path))
    return load_or_exit(config)


def draft_of(path: Path) -> Loaded | None:
    """The configuration as this user sees it, whatever is wrong with it."""
    try:
        return load(path, os.environ)
    except ConfigurationError as error:
        return error.draft if isinstance(error.draft, Loaded) else None


def read(path: Path) -> Loaded:
    """Loads the configuration. Raises `ConfigurationError` with every problem that can be seen."""
    problems: list[Problem] = []
    draft: object
    try:
        draft = loaded = load(path, os.environ)
        lacking = extras_problem(loaded)
        if not lacking:
            return loaded
    except ConfigurationError as error:
        problems, draft = [*error.problems], error.draft
        lacking = extras_problem(draft) if isinstance(draft, Loaded) else []
    known = {problem.key for problem in problems}
    further = asyncio.run(_further(draft))
    raise ConfigurationError([*problems, *(p for p in further if p.key not in known), *lacking])


async def _further(draft: object) -> tuple[Problem, ...]:
    """What else would be wrong once the known problems are fixed: keys, rules, key sets."""
    if not isinstance(draft, Loaded):
        return ()
    try:
        async with wired(draft):
            return ()
    except ConfigurationError as error:
        return error.problems


@asynccontextmanager
async def offline(loaded: Loaded) -> AsyncIterator[Gateway]:
    """As `wired`, but prints the problems and exits with 1 where the configuration is wrong."""
    try:
        async with wired(loaded) as gateway:
            yield gateway
    except ConfigurationError as error:
        fail(error)


@asynccontextmanager
async def wired(loaded: Loaded) -> AsyncIterator[Gateway]:
    """All that `serve` makes, keys included, but no listener and no log.

    Raises `ConfigurationError`.
    """
    writer = LineWriter(os.open(os.devnull, os.O_WRONLY))
    try:
        gateway = await open_gateway(loaded, os.environ, Logger(writer, "error", "json"))
        try:
            yield gateway
        finally:
            await gateway.aclose()
    finally:
        writer.close()


def fail(error: ConfigurationError) -> NoReturn:
    """Prints the problems to stderr as one block and exits with 1."""
    typer.echo(render(located(error.problems)), err=True)
    raise typer.Exit(1)
