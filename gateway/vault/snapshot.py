"""From a vault file to what can be taken into use: rings, sources, and what is wrong.

Changes nothing that is in use. A tenant keeps its last good key through any change of its entry
but its pins, until the new source has given one; no key passes from one tenant to another.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import NamedTuple

from gateway.errors import Problem
from gateway.model import SlotName
from gateway.pin import Pin
from gateway.settings.callers import Issuer
from gateway.settings.key_sources import ISSUED, LOCAL, STORES, KeySource
from gateway.settings.schema import VaultSettings
from gateway.settings.vault_file import Discover, TenantEntry, VaultFile
from gateway.settings.wording import key_path
from gateway.vault.key_ring import NEVER, KeyRing, Slot
from gateway.vault.sharing import Sharing
from gateway.vault.sources.registry import open_sources
from gateway.vault.sources.source import Connections, Source


def kinds_of(vault_file: VaultFile) -> dict[str, str]:
    """The kinds of source of listed tenants, each with the first place that names it."""
    kinds: dict[str, str] = {}
    for tenant, entry in vault_file.tenants.items():
        for name, source in _sources(entry):
            kinds.setdefault(source.kind, key_path(("tenants", tenant, name)))
    return kinds


def rings_of(
    vault_file: VaultFile, settings: VaultSettings, old: Mapping[str, KeyRing]
) -> dict[str, KeyRing]:
    """A ring for each listed tenant; slots that did not change are kept."""
    rings = {}
    for tenant, entry in vault_file.tenants.items():
        before = old.get(tenant)
        known = before.slots if before is not None else ()
        pin = entry.pin
        rings[tenant] = KeyRing(
            tuple(
                _continued(new_slot(tenant, name, source, settings, pin), known)
                for name, source in _sources(entry)
            ),
            used_at=before.used_at if before is not None else NEVER,
        )
    return rings


def new_slot(
    tenant: str,
    name: SlotName,
    source: KeySource,
    settings: VaultSettings,
    pin: Pin | None = None,
) -> Slot:
    """A slot that was never read. Only keys of stores become too old; issued ones have an end."""
    stored = source.kind in STORES
    max_age = settings.refresh + settings.stale_grace if stored else inf
    return Slot(tenant, name, source, pin, max_age)


def slots_of(rings: Mapping[str, KeyRing]) -> Iterator[Slot]:
    """Every slot of every ring."""
    for ring in rings.values():
        yield from ring.slots


def _sources(entry: TenantEntry) -> Iterator[tuple[SlotName, KeySource]]:
    yield "key", entry.key
    if entry.previous is not None:
        yield "previous", entry.previous


def _continued(slot: Slot, known: tuple[Slot, ...]) -> Slot:
    """The old slot if nothing changed; else the new one, with the key that it inherits."""
    for old in known:
        if (old.name, old.source, old.pin, old.max_age, old.discovered) == (
            slot.name, slot.source, slot.pin, slot.max_age, slot.discovered,
        ):  # fmt: skip
            return old
    heirs = [old for old in known if old.source == slot.source]
    heirs += [old for old in known if old.name == slot.name]
    for old in heirs:
        if slot.issued and old.issued and slot.source != old.source:
            continue  # certainly another workspace's
        if old.key is not None and (slot.pin is None or slot.pin.within(old.pin)):
            slot.key = replace(old.key, slot=slot.name)
            slot.good_until = old.good_until
            slot.rejected_at = old.rejected_at
            slot.expires_at = old.expires_at
            slot.term = old.term if slot.source == old.source else None
            break
    return slot


class Snapshot(NamedTuple):
    """To be taken into use in one step; never with `problems`.

    `kinds` are the kinds of source that listed tenants name, `files` the key files. `gone` are
    slots in use that are no longer listed; `due` are those to schedule: new ones, and those that
    are read from stores. `covered` are the discovered tenants that have the key of another now.
    """

    rings: dict[str, KeyRing]
    sharing: Sharing
    discover: Discover | None
    kinds: frozenset[str]
    files: frozenset[Path]
    gone: frozenset[Slot]
    due: tuple[Slot, ...]
    covered: frozenset[str]
    connections: Connections
    sources: Mapping[str, Source]
    problems: tuple[Problem, ...]


class RingsInUse(NamedTuple):
    """The rings of listed tenants, and of those that `[discover]` found.

    Keys that were issued by another upstream, or to another application, are not inherited.
    """

    listed: Mapping[str, KeyRing]
    discovered: Mapping[str, KeyRing]
    inherit_issued: bool = True

    def known(self) -> dict[str, KeyRing]:
        """Those whose keys may be inherited."""
        known = {**self.discovered, **self.listed}
        return known if self.inherit_issued else _not_issued(known)


def _not_issued(rings: Mapping[str, KeyRing]) -> dict[str, KeyRing]:
    kept = {}
    for tenant, ring in rings.items():
        slots = tuple(slot for slot in ring.slots if not slot.issued)
        kept[tenant] = KeyRing(slots, used_at=ring.used_at)
    return kept


class _NewRings(NamedTuple):
    rings: dict[str, KeyRing]
    sharing: Sharing
    covered: frozenset[str]
    kinds: dict[str, str]
    files: frozenset[Path]
    gone: frozenset[Slot]
    due: tuple[Slot, ...]


async def prepare(
    vault_file: VaultFile,
    connections: Connections,
    in_use: RingsInUse,
    kept: Mapping[str, Source],
    issuers: Sequence[Issuer] = (),
) -> Snapshot:
    """What follows from the vault file and from what is in use.

    `kept` sources stay open; those of `issuers`' secrets are opened too, and a problem with one
    names no file: it is in the configuration file.
    """
    settings, discover = connections.settings, vault_file.discover
    # In a thread: with 10,000 tenants this takes longer than a request should wait.
    new = await asyncio.to_thread(_new_rings, vault_file, settings, in_use)
    places = {kind: (str(settings.file), key) for kind, key in new.kinds.items()}
    if discover is not None:
        places.setdefault(discover.key.kind, (str(settings.file), "discover.key"))
    invopop = settings.invopop
    if invopop is not None and not set(ISSUED).isdisjoint(places):
        places.setdefault(invopop.client_secret.kind, ("", "vault.invopop.client_secret"))
    for index, issuer in enumerate(issuers):
        if issuer.secret is not None:
            places.setdefault(issuer.secret.kind, ("", f"issuers[{index}].secret"))
    sources, errors = open_sources({*LOCAL, *places}, connections, kept)
    problems = tuple(
        Problem(*places[kind], error.reason, f"a usable {kind} source")
        for kind, error in errors.items()
    )
    return Snapshot(
        rings=new.rings,
        sharing=new.sharing,
        discover=discover,
        kinds=frozenset(new.kinds),
        files=new.files,
        gone=new.gone,
        due=new.due,
        covered=new.covered,
        connections=connections,
        sources=sources,
        problems=problems,
    )


def _new_rings(vault_file: VaultFile, settings: VaultSettings, in_use: RingsInUse) -> _NewRings:
    rings = rings_of(vault_file, settings, in_use.known())
    before, after = set(slots_of(in_use.listed)), set(slots_of(rings))
    files = frozenset(slot.source.file for slot in after if slot.source.file)
    due = (s for s in slots_of(rings) if s not in before or s.source.kind not in LOCAL)
    sharing = Sharing(vault_file.sharing, rings)
    covered = frozenset(filter(sharing.covers, in_use.discovered if vault_file.sharing else ()))
    return _NewRings(
        rings, sharing, covered, kinds_of(vault_file), files, frozenset(before - after), tuple(due)
    )
