"""The demo itself: sandbox, gateway as a process, tour, and what they show on a terminal."""

import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gateway.cli.tour import Sample, TourStep, Visit, requests_counted, tour
from gateway.identity.tokens import hash_token, new_token
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import RunningSandbox, running

WIDE = 110  # columns that a row needs to stand in few lines
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
START_SECONDS = 60.0  # a cold start on a busy machine; a warm one takes less than one


class Stage(NamedTuple):
    """Where everything of the demo listens, and the throw-away tokens of its two callers."""

    gateway: str
    admin: str
    upstream: str
    folder: Path
    billing: str
    reporting: str


async def show(folder: Path, once: bool) -> bool:
    console = Console(highlight=False)
    sandbox = Sandbox()
    async with running(sandbox) as upstream:
        billing, reporting = new_token(), new_token()
        _configure(folder, sandbox, upstream, billing, reporting)
        async with _gateway(folder) as (gateway, admin, lines):
            stage = Stage(gateway, admin, upstream.url, folder, billing, reporting)
            _introduce(console, stage)
            visits = await tour(stage.gateway, stage.upstream, (billing, reporting))
            _show_tour(console, visits)
            _show_metrics(console, await requests_counted(admin))
            _show_log(console, lines)
            went_well = all(visit.as_expected for visit in visits)
            _show_verdict(console, visits)
            if not once:
                _show_curl(console, stage)
                await _until_interrupted()
    return went_well


def _configure(
    folder: Path, sandbox: Sandbox, upstream: RunningSandbox, billing: str, reporting: str
) -> None:
    """Writes what an operator would: who may call, for whom, and where the keys are."""
    (folder / "ca.pem").write_bytes(upstream.ca_pem)
    for workspace in ("acme", "globex"):
        key_file = folder / f"{workspace}.key"
        key_file.touch(mode=0o600)
        key_file.write_text(sandbox.mint_key(workspace) + "\n")
    (folder / "vault.toml").write_text(
        '[tenants.acme]\nkey = { file = "acme.key" }\n\n'
        '[tenants.globex]\nkey = { file = "globex.key" }\n'
    )
    (folder / "gateway.toml").write_text(
        f"""\
[listen]
port = 0

[admin]
port = 0

[upstream]
url = "{upstream.url}"
file_hosts = ["{sandbox.files.downloads.removeprefix("https://")}"]
ca_file = "ca.pem"
ca_only = true

[callers.billing]
tokens = ["{hash_token(billing)}"]
tenants = ["acme"]

[callers.reporting]
tokens = ["{hash_token(reporting)}"]
tenants = ["acme", "globex"]
allow = ["@read_only"]
"""
    )


@contextlib.asynccontextmanager
async def _gateway(folder: Path) -> AsyncIterator[tuple[str, str, list[dict[str, object]]]]:
    """Runs `serve` as it runs anywhere else: a process; gives its two URLs and its log lines."""
    command = (sys.executable, "-m", "gateway", "serve", "--config", str(folder / "gateway.toml"))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    lines: list[dict[str, object]] = []
    urls: dict[str, str] = {}
    ready = asyncio.Event()

    async def read() -> None:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        async for raw in process.stdout:
            line = json.loads(raw)
            lines.append(line)
            if line["event"] == "listening":
                urls[line["listener"]] = line["url"]
            if len(urls) == 2:
                ready.set()
        ready.set()

    reader = asyncio.create_task(read())
    try:
        await asyncio.wait_for(ready.wait(), START_SECONDS)
        if len(urls) < 2:
            raise typer.Exit(1)
        yield urls["callers"], urls["admin"], lines
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.wait()
        await reader


def _introduce(console: Console, stage: Stage) -> None:
    picture = Text.from_markup(
        "billing, reporting       [bold]invopop-gateway[/]              Invopop (sandbox)\n"
        "[dim]plain HTTP, own token[/] ─▶ [dim]who? may they? which key?[/] ─▶ "
        "[dim]HTTPS, tenant's key[/]\n\n"
    )
    picture.append(f"gateway  {stage.gateway}\n")
    picture.append(f"admin    {stage.admin}\n")
    picture.append(f"Invopop  {stage.upstream} (emulated, real TLS, its own CA)\n")
    picture.append(f"config   {stage.folder}/gateway.toml, vault.toml")
    console.print(Panel(picture, title="invopop-gateway demo", title_align="left"))


def _show_tour(console: Console, visits: list[Visit]) -> None:
    """A row for each request; what it shows stands beside it, or on a narrow terminal beneath."""
    wide = console.width >= WIDE
    table = Table(
        title="The tour: each row is a real request",
        title_justify="left",
        expand=True,
        show_lines=not wide,
    )
    table.add_column("", no_wrap=True)
    table.add_column("who → tenant", no_wrap=True)
    table.add_column("request", no_wrap=wide, overflow="fold", ratio=None if wide else 1)
    table.add_column("answer", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    if wide:
        table.add_column("what it shows", ratio=1)
    for visit in visits:
        table.add_row(*_cells(visit, wide))
    console.print(table)


def _cells(visit: Visit, wide: bool) -> list[Text]:
    """What comes from outside is shown as it is, never read as markup."""
    step: TourStep = visit.step
    mark = Text("✓", "green") if visit.as_expected else Text("✗", "red")
    answer = Text(visit.note if wide or visit.status else visit.note.replace(" ", "\n", 1))
    if visit.status:
        colour = "green" if visit.status < 400 else "yellow"
        answer = Text.assemble((str(visit.status), colour), " " if wide else "\n", answer)
    request = f"{step.method} {_UUID.sub('…', visit.path)}"
    ms = Text(f"{visit.ms:.1f}")
    if wide:
        return [mark, Text(step.who), Text(request), answer, ms, Text(step.shows)]
    who, _, tenant = step.who.partition(" → ")
    who += f"\n→ {tenant}" if tenant else ""
    return [mark, Text(who), Text.assemble(request, "\n", (step.shows, "dim")), answer, ms]


def _show_metrics(console: Console, samples: list[Sample]) -> None:
    title = "The same requests, counted for Prometheus: invopop_gateway_requests_total"
    columns = ("caller", "tenant", "method", "route", "status")
    table = Table(*columns, title=title, title_justify="left")
    table.add_column("count", justify="right")
    for sample in samples:
        values = (*(sample.labels[name] or '""' for name in columns), f"{sample.value:.0f}")
        table.add_row(*map(Text, values))
    console.print(table)


def _show_log(console: Console, lines: list[dict[str, object]]) -> None:
    line = next((line for line in lines if line["event"] == "exchange"), None)
    if line:
        body = Text(json.dumps(line), overflow="fold")
        console.print(Panel(body, title="One log line per request", title_align="left"))


def _show_verdict(console: Console, visits: list[Visit]) -> None:
    good = sum(visit.as_expected for visit in visits)
    colour = "green" if good == len(visits) else "red"
    console.print(f"{good} of {len(visits)} requests did what the tour expects.\n", style=colour)


def _show_curl(console: Console, stage: Stage) -> None:
    def curl(token: str, path: str, *more: str) -> str:
        parts = [f"curl -s -H 'Authorization: Bearer {token}'", *more, f"{stage.gateway}{path}"]
        return " ".join(parts)

    console.print(Text.assemble(("Try it yourself", "bold"), " (another terminal):\n"))
    for command in (
        curl(stage.billing, "/auth/version"),
        curl(stage.billing, "/access/v1/workspace"),
        curl(stage.reporting, "/silo/v1/entries", "-H 'X-Invopop-Tenant: globex'"),
        curl(stage.billing, "/access/v1/workspace", "-H 'X-Invopop-Tenant: globex'"),
        f"curl -s {stage.admin}/metrics",
    ):
        console.print(Text(f"  {command}"), soft_wrap=True)
    console.print(Text(f"\nThe status page: {stage.admin}/\nCtrl-C stops both."))


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
