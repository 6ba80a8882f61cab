"""From the vault file to rings: what is new, what goes on, what ends. Decides; does no I/O.

Law: a tenant keeps its last good key through any change of its entry but its workspace pin, until
the new source has given one; no key ever passes from one tenant to another.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import inf

from gateway.settings.schema import Vault as VaultSettings
from gateway.settings.vault_file import LOCAL, KeySource, TenantEntry, VaultFile
from gateway.vault.key_ring import NEVER, KeyRing, Slot


def kinds_of(vault_file: VaultFile) -> dict[str, str]:
    """The kinds of source of listed tenants, each with the first place that names it."""
    kinds: dict[str, str] = {}
    for tenant, entry in vault_file.tenants.items():
        for name, source in _sources(entry):
            kinds.setdefault(source.kind, f"tenants.{tenant}.{name}")
    return kinds


def rings_of(
    vault_file: VaultFile, settings: VaultSettings, old: Mapping[str, KeyRing]
) -> dict[str, KeyRing]:
    """A ring for each listed tenant; slots that did not change are the old ones themselves."""
    rings = {}
    for tenant, entry in vault_file.tenants.items():
        before = old.get(tenant)
        known = before.slots if before is not None else ()
        rings[tenant] = KeyRing(
            tuple(
                _continued(new_slot(tenant, name, source, settings, entry.workspace), known)
                for name, source in _sources(entry)
            ),
            used_at=before.used_at if before is not None else NEVER,
        )
    return rings


def new_slot(
    tenant: str,
    name: str,
    source: KeySource,
    settings: VaultSettings,
    workspace: str | None = None,
) -> Slot:
    """A slot that was never read. What stands on this machine never grows too old."""
    local = source.kind in LOCAL
    max_age = inf if local else settings.refresh + settings.stale_grace
    return Slot(tenant, name, source, workspace, max_age)


def slots_of(rings: Mapping[str, KeyRing]) -> Iterator[Slot]:
    """Every slot of every ring."""
    for ring in rings.values():
        yield from ring.slots


def _sources(entry: TenantEntry) -> Iterator[tuple[str, KeySource]]:
    yield "key", entry.key
    if entry.previous is not None:
        yield "previous", entry.previous


def _continued(slot: Slot, known: tuple[Slot, ...]) -> Slot:
    """The old slot if nothing of it changed; else the new one, with the key that it takes over."""
    for old in known:
        if (old.name, old.source, old.workspace, old.max_age, old.discovered) == (
            slot.name, slot.source, slot.workspace, slot.max_age, slot.discovered,
        ):  # fmt: skip
            return old
    heirs = [old for old in known if old.source == slot.source]
    heirs += [old for old in known if old.name == slot.name]
    for old in heirs:
        if old.key is not None and slot.workspace in {None, old.workspace}:
            slot.key = replace(old.key, slot=slot.name)
            slot.good_until = old.good_until
            slot.rejected_at = old.rejected_at
            slot.expires_at = old.expires_at
            break
    return slot
