"""Vaults for tests: settings, vault files and recorded events in one place."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.errors import Problem, UpstreamError
from gateway.events import Event
from gateway.model import Headers
from gateway.pin import WorkspaceFacts
from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile
from gateway.vault.sources import registry
from gateway.vault.sources.source import Authorize, Connections, Source, SourceError
from gateway.vault.upkeep import InvopopCalls
from gateway.vault.vault import Vault

_KEY_SOURCE = TypeAdapter(KeySource)


def vault_settings(**vault: Any) -> Settings:
    """Settings with this `[vault]` table and defaults for all else."""
    return Settings.model_validate({"vault": {"file": Path("/vault.toml"), **vault}})


def vault_file(tenants: Mapping[str, Any] | None = None, **more: Any) -> VaultFile:
    """A vault file as its TOML would be read: `{"acme": {"key": {"env": "A"}}}`."""
    return VaultFile.model_validate({"tenants": dict(tenants or {}), **more})


def key_source(**source: Any) -> KeySource:
    """One key source."""
    return _KEY_SOURCE.validate_python({k: v for k, v in source.items() if v is not None})


class FakeStore(Source):
    """A store in memory, in the place of a real kind: `secrets` by reference, or an error to raise.

    While `hanging` is set reads do not end; `reads` are the references read, in order.
    """

    def __init__(self, secrets: Mapping[str, str | SourceError] | None = None) -> None:
        self.secrets: dict[str, str | SourceError | Exception] = dict(secrets or {})
        self.reads: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self.closed = False
        self.open = asyncio.Event()
        self.open.set()

    async def read(self, source: KeySource) -> Secret:
        """What is there when the store answers."""
        self.reads.append(source.reference)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        found = self.secrets.get(source.reference, SourceError("not_found", "nothing is there"))
        if isinstance(found, Exception):
            raise found
        return Secret(found)

    def mark(self, source: KeySource) -> None:
        """Only the store would know."""

    async def aclose(self) -> None:
        """Remembers it."""
        self.closed = True


def opened_by(
    monkeypatch: pytest.MonkeyPatch, kind: str, opener: Callable[[Connections], Source]
) -> None:
    """Sources of this kind are opened by `opener` from now on, all others as ever."""
    real = registry.open_source

    def open_source(name: str, connections: Connections) -> Source:
        return opener(connections) if name == kind else real(name, connections)

    monkeypatch.setattr(registry, "open_source", open_source)


@asynccontextmanager
async def running(vault: Vault) -> AsyncIterator[Vault]:
    """The vault with its background loops, ended with the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(vault.run())
        try:
            yield vault
        finally:
            task.cancel()
            await vault.aclose()


def unanswered() -> UpstreamError:
    """What a check of a workspace raises while Invopop is away."""
    return UpstreamError("upstream_unreachable", "connect", sent=False)


async def never_checked(secret: Secret) -> WorkspaceFacts:
    """Vouches for no key: with it, pinned keys stay unused."""
    del secret
    raise unanswered()


async def never_authorized(body: bytes) -> tuple[int, Headers, bytes]:
    """Issues no key."""
    del body
    raise unanswered()


def vault_of(
    file: VaultFile,
    settings: Settings | None = None,
    environ: Mapping[str, str] | None = None,
    events: list[Event] | None = None,
    check: Callable[[Secret], Awaitable[str | WorkspaceFacts]] = never_checked,
    *,
    authorize: Authorize = never_authorized,
) -> Vault:
    """A vault that is not loaded yet; what it tells goes to `events`.

    `check` may give a workspace by its name alone.
    """
    told = events if events is not None else []

    async def workspace(secret: Secret) -> WorkspaceFacts:
        found = await check(secret)
        return WorkspaceFacts(found) if isinstance(found, str) else found

    calls = InvopopCalls(workspace, authorize)
    return Vault(settings or vault_settings(), file, environ or {}, told.append, calls)


async def loaded(vault: Vault) -> Vault:
    """The vault after a first load that found nothing wrong."""
    problems = await vault.load()
    assert problems == []
    return vault


async def replace(vault: Vault, file: VaultFile, settings: Settings) -> list[Problem]:
    """A reload: `prepare` and `commit` in one; a snapshot with problems changes nothing."""
    snapshot = await vault.prepare(file, settings)
    if not snapshot.problems:
        vault.commit(snapshot)
    return list(snapshot.problems)
