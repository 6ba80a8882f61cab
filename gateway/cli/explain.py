"""`explain`: what would happen to a request, and why, by the pipeline's own services."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Final, NamedTuple

import typer

from gateway.app import Gateway
from gateway.cli.configuration import ConfigOption, load_as_administrator, offline
from gateway.errors import GatewayError
from gateway.invopop.presets import PRESETS, expand
from gateway.invopop.table import OTHER
from gateway.model import Caller
from gateway.policy.caller_policy import Why
from gateway.policy.grants import Explanation, OperationDenied
from gateway.settings.callers import CallerSettings
from gateway.settings.load import Loaded
from gateway.settings.schema import Settings
from gateway.settings.wording import masked, masked_name, printable
from gateway.upstream.target import resolve
from gateway.vault.key_ring import KeyNeeded
from gateway.vault.report import TenantRow
from gateway.vault.vault import Vault

_SOME: Final = 8  # callers that are listed
_UNKNOWN: Final = "an unknown operation is allowed only by a `METHOD /path` entry"
_WHY: Final[Mapping[Why, str]] = {
    "default": ": there is no `allow`",
    "allow": "",
    "deny": "",
    "not_allowed": ": no entry covers it",
    "not_enforced": " = false: no entry of `allow` covers it",
    "unknown": f": {_UNKNOWN}, and there is no `allow`",
    "credentials": ": its replies hold credentials, so only its exact name in `allow` covers it",
    "ambiguous": ": the path can be read in too many ways",
}


class Question(NamedTuple):
    """A request that might be sent."""

    caller: str
    tenant: str
    method: str
    target: str


class Forecast(NamedTuple):
    """What would come of it: lines of a name and a text each."""

    allowed: bool
    lines: list[tuple[str, str]]


def explain(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="Such as GET.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="Such as /silo/v1/entries.")],
    caller: Annotated[str, typer.Option(metavar="NAME", help="The caller's name in [callers].")],
    tenant: Annotated[
        str, typer.Option(metavar="NAME", help="The tenant, where the request would name one.")
    ] = "",
    config: ConfigOption = None,
) -> None:
    """Say what would happen to a request and why. Sends nothing."""
    loaded = load_as_administrator(config)
    question = Question(caller, tenant, method, path)
    answer = asyncio.run(_answer(loaded, question))
    for name, text in answer.lines:
        typer.echo(f"{name:10} {printable(text)}")
    raise typer.Exit(0 if answer.allowed else 1)


async def _answer(loaded: Loaded, question: Question) -> Forecast:
    async with offline(loaded) as gateway:
        try:
            return await _judge(gateway, question, loaded.settings)
        except GatewayError as error:
            return _refused(error, [*_nearest(question.caller, loaded.settings)])


def _nearest(caller: str, settings: Settings) -> Iterator[tuple[str, str]]:
    """Which callers there are that may have been meant, if there is none of this name."""
    if caller not in settings.callers:
        near = get_close_matches(caller, settings.callers, n=3)
        some = near or sorted(settings.callers)[:_SOME]
        names = ", ".join(masked_name(name) for name in some) or "none"
        yield "callers", names if near or len(some) == len(settings.callers) else f"{names}, …"


async def _judge(gateway: Gateway, question: Question, settings: Settings) -> Forecast:
    """Target, caller and tenant, policy, key: in the pipeline's order, the first that fails ends.

    Raises `GatewayError` for what fails before policy.
    """
    services = gateway.services
    authority, files = services.sender.forwarder.authority, services.files.names
    target = resolve(question.method, os.fsencode(question.target), authority, files)
    headers = [os.fsencode(question.tenant)] if question.tenant else []
    caller = Caller(question.caller, "")
    services.vault.require(services.grants.tenant_of(caller, headers))
    explained = services.grants.explain(caller, headers, question.method, target.path)
    lines = [
        *_rule(explained),
        *_presets(settings.callers.get(question.caller)),
    ]
    if explained.grant is None or explained.error is not None:
        return _refused(explained.error or GatewayError("internal_error"), lines)
    lines.append(("tenant", masked_name(explained.grant.tenant)))
    if explained.grant.would_deny:
        lines.append(("note", "allowed only because enforce = false"))
    if target.file_host:
        origin = "https://" + target.file_host.decode()
        lines.append(("key", "none: file hosts get no key"))
    else:
        origin = masked(settings.upstream.url)
        try:
            key = await _key(services.vault, explained.grant.tenant, question.caller)
        except GatewayError as error:
            return _refused(error, lines)
        lines.append(("key", key))
    lines.append(("sends", f"{question.method} {origin}{target.raw.decode()}"))
    return Forecast(True, [("allowed", "yes"), *lines])


async def _key(vault: Vault, tenant: str, caller: str) -> str:
    """Which key would be sent, without asking Invopop about it."""
    try:
        key = vault.key(tenant)
    except KeyNeeded:
        if (source := vault.issued_from(tenant)) is not None:
            return f"one that Invopop issues when it is needed ({source.describe()})"
        await vault.read_stores(vault.holder(tenant))
        for row in _rows(vault, tenant):
            if row.state == "unchecked":
                words = _key_words(row, row.fingerprint, tenant)
                return f"{words}, once Invopop confirms {masked(str(row.pin))}"
        key = await vault.read(tenant, caller)
    row = next(row for row in _rows(vault, tenant) if row.slot == key.slot)
    return _key_words(row, key.fingerprint, tenant)


def _rows(vault: Vault, tenant: str) -> list[TenantRow]:
    holder = vault.holder(tenant)
    return [row for row in vault.tenants() if row.tenant == holder]


def _key_words(row: TenantRow, fingerprint: str, tenant: str) -> str:
    holder = "" if row.tenant == tenant else f"tenant {row.tenant}: "
    return f"{fingerprint} ({row.slot}, from {holder}{row.source})"


def _rule(explained: Explanation) -> Iterator[tuple[str, str]]:
    """The operation that was asked for, and what decided."""
    decision = explained.decision
    if decision is None:
        return
    known = decision.operation != OTHER
    yield "operation", f"{decision.operation} ({decision.route if known else 'none that is known'})"
    why = f' "{masked(explained.entry)}"' if explained.entry else _WHY[decision.why]
    yield "rule", f"{decision.rule}{why}, path {decision.reading}"
    if not known and decision.why in {"not_allowed", "not_enforced"}:
        yield "note", _UNKNOWN


def _presets(caller: CallerSettings | None) -> Iterator[tuple[str, str]]:
    """What each preset that the caller's rules name is for, and all that it stands for."""
    entries = (*(caller.allow or ()), *caller.deny) if caller else ()
    for entry in dict.fromkeys(entries):
        if entry.startswith("@"):
            names = ", ".join(sorted(expand(entry) - {OTHER}))
            yield "preset", f"{entry}: {PRESETS[entry[1:]].summary}: {names}"


def _refused(error: GatewayError, lines: list[tuple[str, str]]) -> Forecast:
    why = f"{error.status} {error.key}" + (f": {error.detail}" if error.detail else "")
    if error.cause and not isinstance(error, OperationDenied):
        why += f" ({error.cause})"
    return Forecast(False, [("allowed", "no"), ("answer", why), *lines])
