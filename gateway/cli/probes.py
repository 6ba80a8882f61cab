"""What `check --online` tries: Invopop with each key, stores, issuers, rate storage, collector.

Each is tried as `serve` would reach it, with the same connections and rules.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import httpx

from gateway.app import Gateway
from gateway.cli.configuration import wired
from gateway.errors import ConfigurationError, GatewayError, UpstreamError
from gateway.events import JwksRefreshed
from gateway.model import Key
from gateway.network.http_client import HttpTransport
from gateway.network.resolver import Resolver
from gateway.network.tls import client_context
from gateway.pin import WorkspaceFacts
from gateway.sandbox.signing import is_of_sandbox
from gateway.settings.key_sources import ISSUED, STORES
from gateway.settings.load import Loaded
from gateway.settings.schema import TracingSettings
from gateway.settings.wording import key_path, masked
from gateway.upstream.workspace import WorkspaceCheck
from gateway.vault.equal_keys import equal_keys
from gateway.vault.key_ring import KeyRing, scope
from gateway.vault.report import TenantRow

AT_ONCE = 4  # calls to Invopop: a check must not look like an attack
_NOBODY = "invopop-gateway-check"  # a tenant that no store has
_TIMEOUT = 5.0

Slot = tuple[str, str]


class WorkspaceFound(NamedTuple):
    """What Invopop said of a key: the workspace that it opens, or why none was named."""

    workspace: WorkspaceFacts
    problem: str


ProbeKind = Literal["store", "application", "issuer", "rate storage", "collector"]


class ProbeResult(NamedTuple):
    """Something outside that was tried. `problem` says what failed and how; "" if nothing did."""

    kind: ProbeKind
    name: str
    problem: str


class Look(NamedTuple):
    """What was seen of keys and of everything outside. `answers` is None if nobody was asked.

    `uses` says whose key the tenants without one share; `equal` warns of keys that are the same.
    """

    rows: list[TenantRow]
    uses: Mapping[str, str]
    equal: list[str]
    scopes: Mapping[Slot, str]
    foreign: Sequence[Slot]
    answers: dict[Slot, WorkspaceFound] | None
    probes: list[ProbeResult]


async def look(loaded: Loaded, *, online: bool) -> Look:
    """Reads all keys; online, asks Invopop of each, and tries everything else outside.

    Offline, only stores are read: of keys, and of issuers' secrets; Invopop issues no key. Raises
    `ConfigurationError`.
    """
    async with wired(loaded) as gateway:
        vault = gateway.services.vault
        await vault.read_stores(issued=online)
        held = vault.held()
        scopes: dict[Slot, str] = {(key.tenant, key.slot): scope(key.secret) for key in held}
        foreign: list[Slot] = [
            (key.tenant, key.slot) for key in held if is_of_sandbox(key.secret.reveal())
        ]
        probes = await _issuers(gateway, online=online)
        uses = {name: entry.use for name, entry in loaded.vault.sharing.items()}
        if not online:
            equal = equal_keys(vault.rings())
            return Look(vault.tenants(), uses, equal, scopes, foreign, None, probes)
        answers = await _ask_all(gateway, held)
        rows = vault.tenants()
        equal = _equal(vault.rings(), answers)
        probes = [*await _stores(gateway, rows), *probes, *await _rates(gateway)]
        return Look(
            rows, uses, equal, scopes, foreign, answers, [*probes, *await _collector(gateway)]
        )


def _equal(rings: Iterator[KeyRing], answers: Mapping[Slot, WorkspaceFound]) -> list[str]:
    """Warnings of keys that are the same, or of the same workspace, by what Invopop said now."""
    known = list(rings)
    for slot in (slot for ring in known for slot in ring.slots):
        if (answer := answers.get((slot.tenant, slot.name))) is not None:
            slot.opens = answer.workspace.id
    return equal_keys(known)


async def _ask_all(gateway: Gateway, keys: list[Key]) -> dict[Slot, WorkspaceFound]:
    """Invopop's answer to each key, through the same connections and rules as any request."""
    from rich.console import Console  # noqa: PLC0415 - no other command needs it
    from rich.progress import Progress  # noqa: PLC0415

    ask = WorkspaceCheck(gateway.services.sender).ask
    answers: dict[Slot, WorkspaceFound] = {}
    gate = asyncio.Semaphore(AT_ONCE)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Asking Invopop", total=len(keys))

        async def one(key: Key) -> None:
            async with gate:
                try:
                    answer = WorkspaceFound(await ask(key.secret), "")
                except GatewayError as error:
                    answer = WorkspaceFound(WorkspaceFacts(""), _described(error))
            answers[key.tenant, key.slot] = answer
            progress.advance(task)

        await asyncio.gather(*map(one, keys))
    return answers


def _described(error: GatewayError) -> str:
    """What went wrong and, of a failure on Invopop's side, what exactly failed."""
    text = error.detail or error.key
    return f"{text} ({error.cause})" if isinstance(error, UpstreamError) else text


async def _stores(gateway: Gateway, rows: list[TenantRow]) -> list[ProbeResult]:
    """Each store that has keys, by what reading the listed ones brought, or by a look-up."""
    discover = gateway.in_use.loaded.vault.discover
    probes = []
    for kind in (*STORES, *ISSUED):
        what: ProbeKind = "store" if kind in STORES else "application"
        of_kind = [row for row in rows if row.source.partition(" ")[0] == kind]
        if of_kind:
            probes.append(ProbeResult(what, kind, _worst(of_kind)))
        elif discover is not None and discover.key.kind == kind:
            probes.append(ProbeResult(what, kind, await _looked_up(gateway)))
    return probes


def _worst(rows: Iterable[TenantRow]) -> str:
    failed = [row for row in rows if row.state in ("unavailable", "denied")]
    if not failed:
        return ""
    more = f" (and {len(failed) - 1} more)" if failed[1:] else ""
    return f"{failed[0].state}: {failed[0].detail or failed[0].source}{more}"


async def _looked_up(gateway: Gateway) -> str:
    """What comes of looking for a tenant that is in no store: not there, if all is well."""
    try:
        await gateway.services.vault.read(_NOBODY, "check")
    except GatewayError as error:
        return "" if error.key == "tenant_denied" else error.cause or error.key
    return ""


async def _issuers(gateway: Gateway, *, online: bool) -> list[ProbeResult]:
    """Issuers whose keys are fetched, online; always those whose secret is in a store."""
    remote = gateway.services.authenticator.remote
    wanted = [keys for keys in remote if online or keys.settings.secret]
    reasons: dict[str, str] = {}
    gateway.events.subscribe(JwksRefreshed, lambda event: _note(event, reasons))
    await asyncio.gather(*(keys.refresh() for keys in wanted))
    probes = []
    for keys in wanted:
        name = keys.settings.issuer
        problem = "" if keys.healthy else reasons.get(name) or "not available"
        if problem and keys.settings.secret:
            problem = f"its secret is unavailable now, or too short ({problem})"
        probes.append(ProbeResult("issuer", masked(name), problem))
    return probes


def _note(event: JwksRefreshed, reasons: dict[str, str]) -> None:
    reasons[event.issuer] = event.reason


async def _rates(gateway: Gateway) -> list[ProbeResult]:
    shared = gateway.services.shared_rates
    if shared is None:
        return []
    name = masked(gateway.in_use.loaded.settings.limits.storage or "")
    return [ProbeResult("rate storage", name, await shared.trouble())]


async def _collector(gateway: Gateway) -> list[ProbeResult]:
    """The receiver of traces: whether it takes a message without any span."""
    loaded = gateway.in_use.loaded
    tracing = loaded.settings.tracing
    if tracing.endpoint is None:
        return []
    name = masked(tracing.endpoint)
    headers = {"Content-Type": "application/x-protobuf"}
    try:
        for field, source in tracing.headers.items():
            key = key_path(("tracing", "headers", field))
            secret = await gateway.services.vault.resolve(source, str(loaded.file), key)
            headers[field] = secret.reveal()
    except ConfigurationError as error:
        return [ProbeResult("collector", name, error.problems[0].found)]
    return [ProbeResult("collector", name, await _sent(tracing, tracing.endpoint, headers))]


async def _sent(tracing: TracingSettings, endpoint: str, headers: dict[str, str]) -> str:
    try:
        context = client_context(tracing.ca_file, ca_only=tracing.ca_file is not None)
        transport = HttpTransport(context, Resolver())
        client = httpx.AsyncClient(transport=transport, trust_env=False, timeout=_TIMEOUT)
        async with client:
            reply = await client.post(endpoint, content=b"", headers=headers)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        return str(error)  # our transport's own words
    except (httpx.HTTPError, OSError) as error:
        return type(error).__name__
    return "" if reply.is_success else f"status {reply.status_code}"
