"""Makes a vault file ready to be taken into use: its rings, its sources, and what is wrong.

Law: changes nothing that is in use.
"""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gateway.errors import Problem
from gateway.settings.callers import Issuer
from gateway.settings.schema import Vault as VaultSettings
from gateway.settings.vault_file import LOCAL, STORES, Discover, VaultFile
from gateway.vault.key_ring import KeyRing, Slot
from gateway.vault.snapshot import kinds_of, rings_of, slots_of
from gateway.vault.sources.registry import open_sources
from gateway.vault.sources.source import Connections, Source


class Snapshot(NamedTuple):
    """To be taken into use at one stroke; never with `problems`.

    `kinds` are the kinds of source that listed tenants name, `files` the key files. `gone` are
    slots in use that are no longer listed; `due` are those to schedule: new ones and all of stores.
    """

    rings: dict[str, KeyRing]
    discover: Discover | None
    kinds: frozenset[str]
    files: frozenset[Path]
    gone: frozenset[Slot]
    due: tuple[Slot, ...]
    connections: Connections
    sources: Mapping[str, Source]
    problems: tuple[Problem, ...]


class _Outcome(NamedTuple):
    rings: dict[str, KeyRing]
    kinds: dict[str, str]
    files: frozenset[Path]
    gone: frozenset[Slot]
    due: tuple[Slot, ...]


async def prepare(
    vault_file: VaultFile,
    connections: Connections,
    known: tuple[Mapping[str, KeyRing], Mapping[str, KeyRing]],
    kept: Mapping[str, Source],
    issuers: Sequence[Issuer] = (),
) -> Snapshot:
    """What follows from the vault file and what is `known`: rings of listed and of found tenants.

    `kept` sources stay open; those of `issuers`' secrets are opened too. The `file` of a problem
    is "" where the configuration file itself is wrong.
    """
    settings, discover = connections.settings, vault_file.discover
    # In a thread: with 10,000 tenants this takes longer than a request should wait.
    made = await asyncio.to_thread(_follows, vault_file, settings, *known)
    places = {kind: (str(settings.file), key) for kind, key in made.kinds.items()}
    if discover is not None:
        places.setdefault(discover.key.kind, (str(settings.file), "discover.key"))
    for index, issuer in enumerate(issuers):
        if issuer.secret is not None:
            places.setdefault(issuer.secret.kind, ("", f"issuers[{index}].secret"))
    sources, errors = open_sources({*LOCAL, *places}, connections, kept)
    problems = tuple(
        Problem(*places[kind], error.reason, f"a usable {kind} source")
        for kind, error in errors.items()
    )
    return Snapshot(
        made.rings,
        discover,
        frozenset(made.kinds),
        made.files,
        made.gone,
        made.due,
        connections,
        sources,
        problems,
    )


def _follows(
    vault_file: VaultFile,
    settings: VaultSettings,
    listed: Mapping[str, KeyRing],
    found: Mapping[str, KeyRing],
) -> _Outcome:
    rings = rings_of(vault_file, settings, {**found, **listed})
    before, after = set(slots_of(listed)), set(slots_of(rings))
    files = frozenset(slot.source.file for slot in after if slot.source.file)
    due = (s for s in slots_of(rings) if s not in before or s.source.kind in STORES)
    return _Outcome(rings, kinds_of(vault_file), files, frozenset(before - after), tuple(due))
