"""What `check` found, as a table and lines for people, or as one JSON document for programs."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from gateway.cli.probes import Look, WorkspaceFound
from gateway.cli.worst_case import PROGRAM
from gateway.errors import Problem
from gateway.pin import Pin
from gateway.settings.countries import COUNTRIES
from gateway.settings.positions import located
from gateway.settings.wording import key_path, masked, masked_name, printable
from gateway.vault.report import TenantRow, ends_soon

WIDTH = 200  # columns of the table where there is no terminal
_MOST_USES = 20  # shown of those that share one key: there may be 100,000

Style = Literal["", "dim", "green", "red", "yellow"]


class Report(NamedTuple):
    """All that a check of a sound configuration brought. `memory` is in bytes, by what holds it."""

    file: Path
    vault_file: Path
    seen: Look
    notes: list[str]
    warnings: list[str]
    memory: list[tuple[str, int]]

    def errors(self) -> list[Problem]:
        """What failed: keys that Invopop was asked about, and everything else that was tried."""
        online = self.seen.answers is not None
        problems = [p for row in self.seen.rows if online and (p := self._of_key(row))]
        return problems + [
            Problem(str(self.file), f"{probe.kind} {probe.name}", probe.problem, "an answer")
            for probe in self.seen.probes
            if online and probe.problem
        ]

    def _of_key(self, row: TenantRow) -> Problem | None:
        verdict = _verdict(row, (self.seen.answers or {}).get((row.tenant, row.slot)))
        place = key_path(("tenants", row.tenant, row.slot))
        expected = "a key that Invopop accepts"
        return Problem(str(self.vault_file), place, verdict, expected) if verdict else None


def key_warnings(seen: Look, *, real: bool) -> list[str]:
    """Keys that are unavailable or end soon; at the `real` Invopop, those that open nothing."""
    now, texts = time.time(), []
    for row in seen.rows:
        place = key_path(("tenants", row.tenant, row.slot))
        if not row.fingerprint and row.state != "on_demand":
            texts.append(f"{place}: the key is unavailable now: {row.state}")
        if row.expires_at is not None and not row.issued and ends_soon(row.expires_at, now):
            word = "expired" if row.expires_at <= now else "expires"
            texts.append(f"{place}: the key {word} on {_day(row.expires_at)}")
    if real:
        texts += [
            f"{place}: a key of `invopop-gateway sandbox`, unknown to Invopop"
            for place in (key_path(("tenants", *slot)) for slot in seen.foreign)
        ]
    return texts


def as_json(report: Report, *, ok: bool) -> str:
    """The report as one document."""
    return _document({
        "ok": ok,
        "file": str(report.file),
        "errors": [problem._asdict() for problem in report.errors()],
        "warnings": report.warnings,
        "notes": report.notes,
        "tenants": [_tenant(row, report.seen) for row in report.seen.rows],
        "uses": dict(report.seen.uses),
        "probes": [
            {"kind": probe.kind, "name": probe.name, "problem": probe.problem}
            for probe in report.seen.probes
        ],
        "memory": {"bytes": sum(size for _, size in report.memory), **dict(report.memory)},
    })  # fmt: skip


def refused_as_json(problems: Iterable[Problem]) -> str:
    """The problems of a configuration that is wrong, as a document of the same form."""
    return _document({"ok": False, "errors": [problem._asdict() for problem in located(problems)]})


def _document(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=True)


def _tenant(row: TenantRow, seen: Look) -> dict[str, Any]:
    slot = (row.tenant, row.slot)
    shown = row._asdict() | {
        "tenant": masked_name(row.tenant),
        "workspace": row.workspace and masked(row.workspace),
        "scope": seen.scopes.get(slot, ""),
    }
    if seen.answers is not None:
        answer = seen.answers.get(slot)
        shown["workspace_found"] = answer.workspace.id if answer else ""
        shown["problem"] = _verdict(row, answer)
    return shown


def show(report: Report, *, failed: bool) -> None:
    """Prints the table of tenants, then a line for each note, warning and error.

    A check that `failed` without an error did so by its warnings.
    """
    from rich.console import Console  # noqa: PLC0415 - no other command needs it
    from rich.text import Text  # noqa: PLC0415

    # A file or a pipe has no width of its own: nothing is cut off there.
    width = None if sys.stdout.isatty() else WIDTH
    # Names and paths are shown as they are: `[red]` is not a colour, `:key:` not a picture.
    console = Console(highlight=False, markup=False, emoji=False, width=width)

    def say(word: str, style: Style, text: str) -> None:
        console.print(Text.assemble((word, style), " ", printable(text)), soft_wrap=True)

    console.print(_table(report.seen))
    for text in report.warnings:
        say("warning", "yellow", text)
    for text in report.notes:
        say("note", "dim", text)
    say("memory", "", _memory(report.memory))
    for probe in report.seen.probes:
        if not probe.problem and report.seen.answers is not None:
            say("reached", "green", f"{probe.kind} {probe.name}")
    for problem in report.errors():
        say("error", "red", f"{problem.key}: {problem.found}")
    if not failed:
        say("ok", "green", str(report.file))
    elif not report.errors():
        s = "" if len(report.warnings) == 1 else "s"
        say("error:", "red", f"{len(report.warnings)} warning{s}, and --strict lets none pass")


def _memory(parts: list[tuple[str, int]]) -> str:
    """The bound on what callers and Invopop can make the gateway hold, as a sum."""
    total = sum(size for _, size in parts)
    shown = ", ".join(f"{name} {size / 2**20:.0f}" for name, size in parts if size)
    program = PROGRAM // 2**20
    return (
        f"at most {total / 2**20:.0f} MiB for what callers and Invopop send, besides some "
        f"{program} MiB for the program itself: {shown}"
    )


def _table(seen: Look) -> object:
    from rich.table import Table  # noqa: PLC0415

    table = Table()
    for name in ("tenant", "slot", "source"):  # names that differ only at their end stay apart
        table.add_column(name, overflow="fold")
    table.add_column("key", no_wrap=True)
    table.add_column("expires", no_wrap=True)
    more = [*(["scope"] if any(seen.scopes.values()) else []), "workspace"]
    more += ["workspace found"] if seen.answers else []
    for name in (*more, "state"):
        table.add_column(name, overflow="fold")
    for row in seen.rows:
        table.add_row(*map(printable, _cells(row, seen)))
    for name, source in _uses(seen.uses):
        table.add_row(printable(name), "", source)
    return table


def _uses(uses: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Tenants that share a key, and whose: without the key, which stands where it belongs."""
    of: dict[str, list[str]] = {}
    for name, used in uses.items():
        of.setdefault(used, []).append(name)
    for used, names in of.items():
        yield from ((masked_name(name), f"use {used}") for name in names[:_MOST_USES])
        if len(names) > _MOST_USES:
            yield f"{len(names) - _MOST_USES} more", f"use {used}"


def _cells(row: TenantRow, seen: Look) -> tuple[str, ...]:
    slot = (row.tenant, row.slot)
    cells = [
        masked_name(row.tenant),
        row.slot,
        row.source,
        row.fingerprint or "-",
        _day(row.expires_at),
    ]
    if any(seen.scopes.values()):
        cells.append(seen.scopes.get(slot) or "-")
    cells.append(masked(_pinned(row.pin)) or "-")
    if not seen.answers:
        return *cells, f"{row.state} {row.detail}".strip()
    answer = seen.answers.get(slot)
    return *cells, (answer.workspace.id if answer else "") or "-", _verdict(row, answer) or "ok"


def _verdict(row: TenantRow, answer: WorkspaceFound | None) -> str:
    """What is wrong with a key that Invopop was to be asked about; "" if nothing is."""
    if answer is None:
        return f"no key to ask with: {row.state} {row.detail}".strip()
    if answer.problem:
        return answer.problem
    found = answer.workspace
    match row.pin.differs(found):
        case "pin_mismatch":
            return f"the key opens workspace {found.id}, pinned is {masked(row.workspace or '')}"
        case "pin_mismatch_sandbox":
            said = {True: "a sandbox", False: "no sandbox", None: "not known to be one or not"}
            return f"the key's workspace is {said[found.sandbox]}, pinned is {said[row.sandbox]}"
        case "pin_mismatch_country":
            country = found.country if found.country in COUNTRIES else "unknown"
            return f"the country of the key's workspace is {country}, pinned is {row.country}"
    return ""


def _pinned(pin: Pin) -> str:
    """The workspace as it is, and further pins after it."""
    workspace, rest = pin.workspace or "", str(pin._replace(workspace=None))
    return ", ".join(filter(None, (workspace, rest)))


def _day(expires_at: float | None) -> str:
    if expires_at is None:
        return "-"
    return datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%d")
