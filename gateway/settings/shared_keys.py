"""Tenants that share a key or a workspace: how one company's invoice is sent in another's name.

Pure, and one pass: a vault may list 100,000 tenants. A key is named by its fingerprint only.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Final

from gateway.settings.key_sources import KeySource
from gateway.settings.vault_file import TenantEntry
from gateway.settings.wording import key_path, masked_name, printable

MOST_WARNINGS: Final = 20  # of each kind: thousands of lines would hide every other
_MOST_NAMES: Final = 5


def shared_keys(tenants: Mapping[str, TenantEntry]) -> Iterator[str]:
    """Warnings of tenants with one key or one workspace, and of a `previous` equal to `key`."""
    keys: dict[Hashable, dict[str, KeySource]] = {}
    pins: dict[str, list[str]] = {}
    twice: list[str] = []
    for name, entry in tenants.items():
        keys.setdefault(identity(entry.key), {})[name] = entry.key
        if entry.previous is not None:
            if identity(entry.previous) == identity(entry.key):
                twice.append(name)
            keys.setdefault(identity(entry.previous), {})[name] = entry.previous
        if entry.workspace is not None:
            pins.setdefault(entry.workspace, []).append(name)
    shared = [using for using in keys.values() if len(using) > 1]
    pinned = [names for names in pins.values() if len(names) > 1]
    yield from limited([_one_key(using) for using in shared[:MOST_WARNINGS]], len(shared))
    yield from limited([_one_workspace(names) for names in pinned[:MOST_WARNINGS]], len(pinned))
    yield from limited(
        [
            f"{key_path(('tenants', name, 'previous'))}: the same key as `key`; "
            "remove it, or name the old one"
            for name in twice[:MOST_WARNINGS]
        ],
        len(twice),
    )


def identity(source: KeySource) -> Hashable:
    """Equal for sources that give the same key: the value itself, or the place."""
    if source.value is not None:
        return source.value.reveal()
    return (source.kind, source.reference, source.field)


def _one_key(using: Mapping[str, KeySource]) -> str:
    first, source = next(iter(using.items()))
    value = source.value
    which = source.describe() if value is None else f"fingerprint {value.fingerprint}"
    return (
        f"{key_path(('tenants', first))}: {listing(list(using))} have the same key ({which}); "
        "one company's requests would be sent in another's name"
    )


def _one_workspace(names: list[str]) -> str:
    place = key_path(("tenants", names[0], "workspace"))
    return (
        f"{place}: {listing(names)} have the same workspace; "
        "one company's requests would be sent in another's name"
    )


def listing(names: list[str]) -> str:
    """At least two tenants in words, of many the first few."""
    shown = [printable(masked_name(name)) for name in names[:_MOST_NAMES]]
    if len(names) > _MOST_NAMES:
        shown.append(f"{len(names) - _MOST_NAMES} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def limited(texts: list[str], count: int) -> list[str]:
    """The texts, and how many more there are of `count`."""
    more = count - len(texts)
    return [*texts, f"tenants: {more} more warnings like the last"] if more else texts
