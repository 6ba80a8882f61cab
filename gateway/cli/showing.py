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
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gateway.cli.tour import Sample, Step, Visit, requests_counted, tour
from gateway.identity.tokens import hash_token, new_token
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import Running, running

START_SECONDS = 15.0  # a cold start on a slow machine; a warm one takes less than one


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
    folder: Path, sandbox: Sandbox, upstream: Running, billing: str, reporting: str
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
ca_file = "ca.pem"
ca_only = true

[callers.billing]
tokens = ["{hash_token(billing)}"]
tenants = ["acme"]

[callers.reporting]
tokens = ["{hash_token(reporting)}"]
tenants = ["acme", "globex"]
allow = ["*.list", "*.fetch", "access.workspace.fetch"]
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
        "billing, reporting   ──▶   [bold]invopop-gateway[/]   ──▶   Invopop (sandbox)\n"
        "[dim]plain HTTP,                who? may they?          HTTPS,\n"
        "their own token            with which key?         the tenant's key[/]\n\n"
    )
    for name, value in (
        ("gateway", stage.gateway),
        ("admin", stage.admin),
        ("Invopop", f"{stage.upstream} (emulated, real TLS, its own CA)"),
        ("config", f"{stage.folder}/"),
    ):
        picture.append(f"{name:9}", style="bold")
        picture.append(f"{value}\n")
    picture.rstrip()
    console.print(Panel(picture, title="invopop-gateway demo", title_align="left", padding=(1, 2)))


def _show_tour(console: Console, visits: list[Visit]) -> None:
    """Two lines a request: what went in and out, and below it what that shows."""
    table = Table(box=None, expand=True, padding=(0, 2, 1, 0))
    table.add_column("", no_wrap=True)
    table.add_column("who", no_wrap=True)
    table.add_column("request and what it shows", overflow="fold", ratio=1)
    table.add_column("answer", no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    for visit in visits:
        step: Step = visit.step
        mark = "[green]✓[/]" if visit.as_expected else "[red]✗[/]"
        colour = "green" if 0 < visit.status < 400 else "yellow"
        status = f"[{colour}]{visit.status or 'none'}[/]"
        table.add_row(
            mark,
            step.who.replace(" → ", "\n[dim]→[/] "),
            f"[bold]{step.method}[/] {_shortened(visit.path)}\n[dim]{step.shows}[/]",
            f"{status}\n{visit.note}",
            f"{visit.ms:.1f}",
        )
    _head(console, "The tour: each row is a real request")
    console.print(table)


def _head(console: Console, words: str) -> None:
    console.print(Rule(f"[bold]{words}[/]", align="left", style="dim"))


def _shortened(path: str) -> str:
    """Of each UUID its first four digits: a row should fit on a terminal."""
    return re.sub(r"([0-9a-f]{4})[0-9a-f]{4}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", r"\1…", path)


def _show_metrics(console: Console, samples: list[Sample]) -> None:
    columns = ("caller", "tenant", "method", "route", "status")
    table = Table(*columns, box=None, padding=(0, 2, 0, 0))
    table.add_column("count", justify="right")
    for sample in samples:
        table.add_row(*(sample.labels[name] or '""' for name in columns), f"{sample.value:.0f}")
    _head(console, "What Prometheus sees of it: invopop_gateway_requests_total")
    console.print(table, "")


def _show_log(console: Console, lines: list[dict[str, object]]) -> None:
    line = next((line for line in lines if line["event"] == "exchange"), None)
    if line:
        _head(console, "One log line an exchange")
        console.print(Text(json.dumps(line), style="dim"), "")


def _show_verdict(console: Console, visits: list[Visit]) -> None:
    good = sum(visit.as_expected for visit in visits)
    colour = "green" if good == len(visits) else "red"
    console.print(f"[{colour}]{good} of {len(visits)} requests did what the tour expects.[/]\n")


def _show_curl(console: Console, stage: Stage) -> None:
    def curl(token: str, path: str, *more: str) -> str:
        parts = [f"curl -s -H 'Authorization: Bearer {token}'", *more, f"{stage.gateway}{path}"]
        return " ".join(parts)

    console.print("[bold]Try it yourself[/] (another terminal):\n")
    for command in (
        curl(stage.billing, "/auth/version"),
        curl(stage.billing, "/access/v1/workspace"),
        curl(stage.reporting, "/silo/v1/entries", "-H 'X-Invopop-Tenant: globex'"),
        curl(stage.billing, "/access/v1/workspace", "-H 'X-Invopop-Tenant: globex'"),
        f"curl -s {stage.admin}/metrics",
    ):
        console.print(Text(f"  {command}"), soft_wrap=True)
    console.print(f"\nThe status page: {stage.admin}/\nCtrl-C stops both.")


async def _until_interrupted() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
