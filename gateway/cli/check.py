"""`check`: loads and validates everything without serving; shows tenants and their keys.

Rule: calls nobody but the configured stores, and with `--online` Invopop.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import typer

from gateway.app import Gateway
from gateway.cli.configuration import ConfigOption, load_or_exit, offline
from gateway.cli.worst_case import worst_case
from gateway.errors import GatewayError, UpstreamError
from gateway.model import Key
from gateway.policy.review import notes, review
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings
from gateway.settings.wording import printable
from gateway.upstream.workspace import WorkspaceCheck
from gateway.vault.report import TenantRow, ends_soon

WIDTH = 200  # columns of the table where there is no terminal
AT_ONCE = 4  # calls to Invopop: a check must not look like an attack

Slot = tuple[str, str]


class WorkspaceFound(NamedTuple):
    """What Invopop said of a key: the workspace that it opens, or why none was named."""

    workspace: str
    problem: str


def check(
    config: ConfigOption = None,
    online: Annotated[
        bool, typer.Option("--online", help="Call Invopop with each tenant's keys as well.")
    ] = False,
) -> None:
    """Validate the configuration, and show the tenants."""
    from rich.console import Console  # noqa: PLC0415 - no other command needs it
    from rich.text import Text  # noqa: PLC0415

    def say(word: str, style: str, text: str) -> None:
        console.print(Text.assemble((word, style), " ", printable(text)), soft_wrap=True)

    loaded = load_or_exit(config)
    rows, answers, missing = asyncio.run(_look(loaded, online=online))
    # A file or a pipe has no width of its own: nothing is cut off there.
    width = None if sys.stdout.isatty() else WIDTH
    # Names and paths are shown as they are: `[red]` is no colour, `:key:` no picture.
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    console.print(_table(rows, answers))
    today = datetime.now(UTC).date()
    reviewed = review(loaded.settings, loaded.vault, today)
    absent = _absent(loaded.settings)
    for text in (*loaded.warnings, *absent, *reviewed, *missing, *_warnings(rows)):
        say("warning", "yellow", text)
    for text in notes(loaded.settings):
        say("note", "", text)
    say("memory", "", _memory(loaded.settings))
    wrong = [text for row in rows if online and (text := _problem(row, answers))]
    for text in wrong:
        say("error", "red", text)
    if wrong:
        raise typer.Exit(1)
    say("ok", "green", str(loaded.file))


def _absent(settings: Settings) -> list[str]:
    """A warning if the socket's directory is not there: whatever starts `serve` may yet make it."""
    folder = settings.listen.socket.parent if settings.listen.socket else None
    if folder is None or folder.is_dir():
        return []
    return [f"listen.socket: there is no directory {folder} now; `serve` makes none"]


def _memory(settings: Settings) -> str:
    """The bound on what callers and Invopop can make the gateway hold, as a sum."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = min(files, settings.listen.max_connections or files)
    parts = worst_case(settings, connections)
    total = sum(size for _, size in parts)
    told = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in parts)
    return f"at worst {total / 2**20:.0f} MiB beyond the program itself: {told}"


async def _look(
    loaded: Loaded, *, online: bool
) -> tuple[list[TenantRow], dict[Slot, WorkspaceFound], list[str]]:
    """Tenants' keys, what Invopop says of them, and which issuers' secrets are missing."""
    async with offline(loaded) as gateway:
        await gateway.services.vault.read_stores()
        missing = await _missing_secrets(gateway)
        answers = await _ask_all(gateway) if online else {}
        return gateway.services.vault.tenants(), answers, missing


async def _missing_secrets(gateway: Gateway) -> list[str]:
    """A warning for each issuer whose secret is in a store and cannot be had, or is too weak."""
    stored = [keys for keys in gateway.services.authenticator.remote if keys.settings.secret]
    await asyncio.gather(*(keys.refresh() for keys in stored))
    names = [keys.settings.issuer for keys in stored if not keys.healthy]
    return [f"issuer {name}: its secret cannot be had now, or is too short" for name in names]


async def _ask_all(gateway: Gateway) -> dict[Slot, WorkspaceFound]:
    """Invopop's answer to each key, through the same connections and rules as any request."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    ask = WorkspaceCheck(gateway.services.sender).ask
    answers: dict[Slot, WorkspaceFound] = {}
    gate = asyncio.Semaphore(AT_ONCE)
    keys = gateway.services.vault.held()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Asking Invopop", total=len(keys))

        async def one(key: Key) -> None:
            async with gate:
                try:
                    answer = WorkspaceFound(await ask(key.secret), "")
                except GatewayError as error:
                    answer = WorkspaceFound("", _told(error))
            answers[key.tenant, key.slot] = answer
            progress.advance(task)

        await asyncio.gather(*map(one, keys))
    return answers


def _told(error: GatewayError) -> str:
    """What went wrong, and what exactly failed: `upstream_unreachable (dns: NAME: …)`."""
    text = error.detail or error.key
    return f"{text} ({error.cause})" if isinstance(error, UpstreamError) else text


def _table(rows: Iterable[TenantRow], answers: dict[Slot, WorkspaceFound]) -> object:
    from rich.table import Table  # noqa: PLC0415

    found = ("workspace found",) if answers else ()
    table = Table("tenant", "slot", "source")
    table.add_column("key", no_wrap=True)
    table.add_column("expires", no_wrap=True)
    for name in ("workspace", *found, "state"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*map(printable, _cells(row, answers)))
    return table


def _cells(row: TenantRow, answers: dict[Slot, WorkspaceFound]) -> tuple[str, ...]:
    key, pinned = row.fingerprint or "-", row.workspace or "-"
    cells = (row.tenant, row.slot, row.source, key, _day(row.expires_at), pinned)
    if not answers:
        return *cells, f"{row.state} {row.detail}".strip()
    answer = answers.get((row.tenant, row.slot))
    return *cells, (answer.workspace if answer else "") or "-", _verdict(row, answer) or "ok"


def _problem(row: TenantRow, answers: dict[Slot, WorkspaceFound]) -> str:
    verdict = _verdict(row, answers.get((row.tenant, row.slot)))
    return f"tenants.{row.tenant}.{row.slot}: {verdict}" if verdict else ""


def _verdict(row: TenantRow, answer: WorkspaceFound | None) -> str:
    """What is wrong with a key that Invopop was to be asked about; "" if nothing is."""
    if answer is None:
        return f"no key to ask with: {row.state} {row.detail}".strip()
    if answer.problem:
        return answer.problem
    if row.workspace not in {None, answer.workspace}:
        return f"the key opens workspace {answer.workspace}, pinned is {row.workspace}"
    return ""


def _warnings(rows: Iterable[TenantRow]) -> list[str]:
    now = time.time()
    texts = []
    for row in rows:
        place = f"tenants.{row.tenant}.{row.slot}"
        if not row.fingerprint:
            texts.append(f"{place}: the key cannot be had now: {row.state}")
        if row.expires_at is not None and ends_soon(row.expires_at, now):
            word = "expired" if row.expires_at <= now else "expires"
            texts.append(f"{place}: the key {word} on {_day(row.expires_at)}")
    return texts


def _day(expires_at: float | None) -> str:
    if expires_at is None:
        return "-"
    return datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d")
