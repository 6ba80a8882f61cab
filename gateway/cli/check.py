"""`check`: loads and validates everything without serving; shows tenants and their keys.

It calls nobody but the configured stores and, with `--online`, whatever `serve` would.
"""

import asyncio
import os
import resource
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli import rights
from gateway.cli.certificates import certificate_notes
from gateway.cli.check_report import Report, as_json, key_warnings, refused_as_json, show
from gateway.cli.configuration import ConfigOption, draft_of, fail, path_of, read, wired
from gateway.cli.probes import Look, look
from gateway.cli.vault_files import leftovers
from gateway.cli.worst_case import Part, worst_case
from gateway.errors import ConfigurationError
from gateway.policy.review import notes, review
from gateway.settings.load import Loaded
from gateway.settings.notices import is_invopop
from gateway.settings.schema import Settings
from gateway.settings.wording import shown_path

_AS: Final = "--as"
_IMPORTED_LATE: Final = (
    "encodings.idna", "rich.console", "rich.progress", "rich.table", "rich.text",
)  # fmt: skip


def check(
    config: ConfigOption = None,
    online: Annotated[
        bool,
        typer.Option(
            "--online",
            help="Call Invopop with each tenant's keys as well, and try stores, issuers, rate "
            "storage and collector.",
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 on warnings, too.")] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_user: Annotated[
        str,
        typer.Option(
            _AS,
            metavar="USER",
            help="Judge files by this user's rights (as root only; default: the service's user, "
            "if the owner of the vault file shows who that is).",
        ),
    ] = "",
) -> None:
    """Validate the configuration, and show the tenants."""
    try:
        judged_by = _take_rights(path_of(config), as_user)
        loaded = read(path_of(config))
        seen = asyncio.run(look(loaded, online=online))
    except ConfigurationError as error:
        if not as_json_:
            fail(error)
        typer.echo(refused_as_json(error.problems))
        raise typer.Exit(1) from None
    report = _report(loaded, seen, judged_by)
    failed = bool(report.errors()) or (strict and bool(report.warnings))
    if as_json_:
        typer.echo(as_json(report, ok=not failed))
    else:
        show(report, failed=failed)
    raise typer.Exit(1 if failed else 0)


def _report(loaded: Loaded, seen: Look, judged_by: list[str]) -> Report:
    """All that is known of a sound configuration, as warnings and notes."""
    settings = loaded.settings
    away = [f"issuer {probe.name}: {probe.problem}" for probe in seen.probes if probe.problem]
    held, ending = certificate_notes(settings)
    warnings = [
        *loaded.warnings,
        *_absent(settings),
        *_left_over(loaded.vault_path),
        *ending,
        *seen.equal,
        *review(settings, loaded.vault, datetime.now(UTC).date()),
        *(away if seen.answers is None else ()),  # asked for, it is an error
        *key_warnings(seen, real=is_invopop(settings.upstream.url)),
    ]
    remarks = [*judged_by, *notes(settings), *held]
    return Report(loaded.file, loaded.vault_path, seen, remarks, warnings, _memory(loaded))


def _take_rights(config: Path, as_user: str) -> list[str]:
    """Judges by a user's rights from now on; notes about that."""
    try:
        user = rights.named(as_user) if as_user else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=_AS) from None
    if os.geteuid() != rights.ROOT:
        if user is not None and user.uid != os.geteuid():
            raise typer.BadParameter("only root can judge by another's rights", param_hint=_AS)
        return []
    draft = draft_of(config)
    if user is None and draft is not None:
        user = rights.service_user(draft.vault_path)
        reason = "to whom the vault file belongs"
    else:
        reason = "as --as says"
    if user is None:
        return ["files are judged by root's rights; if the service has others, name it with --as"]
    _import_all(draft)
    rights.become(user)
    return [f"files are judged by the rights of {user.name}, {reason}"]


def _import_all(draft: Loaded | None) -> None:
    """Has everything imported that this configuration needs: the user may not see our modules."""
    for module in _IMPORTED_LATE:
        import_module(module)

    async def wire() -> None:
        if draft is not None:
            async with wired(draft):
                pass

    with suppress(ConfigurationError):
        asyncio.run(wire())


def _absent(settings: Settings) -> list[str]:
    """A warning if the socket's directory is not there: whatever starts `serve` may yet make it."""
    folder = settings.listen.socket.parent if settings.listen.socket else None
    if folder is None or folder.is_dir():
        return []
    return [
        f"listen.socket: there is no directory {shown_path(folder)} now; `serve` does not make it"
    ]


def _left_over(vault: Path) -> list[str]:
    return [
        f"vault.file: {path} was left by an interrupted change and may hold keys; remove it"
        for path in leftovers(vault)
    ]


def _memory(loaded: Loaded) -> list[Part]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return worst_case(loaded, files)
