"""Looks over who may do what: what is lawful, but probably not meant, or about to stop working.

Rule: pure; yields warnings for people, each beginning with its key path, and refuses nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from fnmatch import translate
from itertools import product
from typing import Final

from gateway.invopop.operations import gives_credentials, names
from gateway.invopop.table import CREDENTIALS
from gateway.policy.patterns import (
    ANY,
    ANY_NUMBER,
    Pattern,
    PolicyRules,
    compile_allow,
    compile_deny,
)
from gateway.settings.callers import CallerSettings
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile
from gateway.settings.wording import key_path, masked_name

SOON: Final = 30  # days before its end from which a token is worth a warning
_MOST_NAMES: Final = 10  # tenants named in one warning

_EVERYTHING: Final = Pattern(ANY, (ANY_NUMBER,))


def review(settings: Settings, vault_file: VaultFile, today: date) -> list[str]:
    """Warnings about tokens, tenants and rules, in the order of the files; `today` is UTC."""
    warnings: list[str] = []
    for name, caller in settings.callers.items():
        warnings += _ending(name, caller, today)
        if vault_file.discover is None:
            warnings += _unknown_tenants(name, caller, vault_file)
        warnings += _extremes(name, caller)
    return [*warnings, *_unused_tenants(settings.callers, vault_file)]


def notes(settings: Settings) -> list[str]:
    """What a reader of the rules may not expect, and what is so on purpose: no cause to worry."""
    found: list[str] = []
    closed = sorted(name for name in names() if gives_credentials(name))
    for name, caller in settings.callers.items():
        listed = [entry for entry in caller.allow or () if entry in closed]
        if listed:
            where = key_path(("callers", name, "allow"))
            found.append(f"{where}: names {', '.join(listed)}, whose replies hold credentials")
    if settings.callers:
        found.append(
            f"callers: {CREDENTIALS}* is covered by no default, glob, preset or pattern, because "
            "its replies hold credentials; a caller that needs it lists the exact name in `allow`"
        )
    return found


def _ending(name: str, caller: CallerSettings, today: date) -> Iterator[str]:
    for index, token in enumerate(caller.tokens):
        if token.expires is None:
            continue
        where = key_path(("callers", name, "tokens", index))
        left = (token.expires - today).days
        if left < 0:
            yield f"{where}: expired on {token.expires}; it is refused, and can be removed"
        elif left <= SOON:
            when = f"in {left} days" if left > 1 else "tomorrow" if left else "today"
            yield f"{where}: expires {when}, at the end of {token.expires} (UTC)"


def _unknown_tenants(name: str, caller: CallerSettings, vault_file: VaultFile) -> Iterator[str]:
    """Names and globs of a caller that lead to no tenant of the vault."""
    for index, entry in enumerate(caller.tenants):
        where = key_path(("callers", name, "tenants", index))
        if "*" not in entry:
            if entry not in vault_file.tenants and not _overlapped(entry, vault_file.sharing):
                yield f"{where}: the vault has no tenant of this name; its requests are refused"
        elif not (
            any(map(re.compile(translate(entry)).match, vault_file.tenants))
            or _overlapped(entry, vault_file.sharing)
        ):
            yield f"{where}: no tenant of the vault matches this glob"


def _overlapped(entry: str, names: Iterable[str]) -> bool:
    """Whether a name or glob has a name in common with some of these names and globs."""
    match = re.compile(translate(entry)).match
    return any(match(name) or ("*" in name and _overlap(entry, name)) for name in names)


def _overlap(one: str, other: str) -> bool:
    """Whether two globs have a name in common; one without `*` is a name."""
    reached = {(0, 0)}
    for i, j in product(range(len(one) + 1), range(len(other) + 1)):
        if (i, j) not in reached:
            continue
        a, b = one[i : i + 1], other[j : j + 1]
        if a == "*":
            reached |= {(i + 1, j), (i, j + 1)} if b else {(i + 1, j)}
        if b == "*":
            reached |= {(i, j + 1), (i + 1, j)} if a else {(i, j + 1)}
        elif a and a == b:
            reached.add((i + 1, j + 1))
    return (len(one), len(other)) in reached


def _extremes(name: str, caller: CallerSettings) -> Iterator[str]:
    """Rules that allow everything, or nothing."""
    where = key_path(("callers", name))
    if _covers_everything(compile_deny(caller.deny, "", "")[0]):
        yield f"{where}.deny: covers every operation, so that every request is refused"
    elif caller.allow == () and caller.enforce:
        yield f"{where}.allow: is empty, so all requests are refused; without it all are allowed"
    elif caller.deny:
        return
    elif caller.allow is None:
        yield f"{where}: may call every operation; `allow` or `deny` would limit it"
    elif _covers_everything(compile_allow(caller.allow, "", "")[0]):
        yield f"{where}.allow: covers every operation"
    elif not caller.enforce:
        yield f"{where}.enforce: false, so that every operation is let through"


def _covers_everything(rules: PolicyRules) -> bool:
    if any(pattern == _EVERYTHING for _, pattern in rules.patterns):
        return True
    return rules.names.keys() >= {name for name in names() if not gives_credentials(name)}


def _unused_tenants(callers: Mapping[str, CallerSettings], vault_file: VaultFile) -> Iterator[str]:
    """One warning for all tenants that no caller may use."""
    entries = {entry for caller in callers.values() for entry in caller.tenants}
    globs = "|".join(translate(entry) for entry in sorted(entries) if "*" in entry)
    # Without globs nothing matches: no tenant's name is empty.
    covered = re.compile(globs or r"\Z")
    used = {entry.use for entry in vault_file.sharing.values()}
    unused = [
        name
        for name in (*vault_file.tenants, *vault_file.sharing)
        if name not in entries and name not in used and not covered.match(name)
    ]
    unused = [name for name in unused if "*" not in name or not _overlapped(name, entries)]
    if not unused:
        return
    shown, rest = unused[:_MOST_NAMES], len(unused) - _MOST_NAMES
    more = f" and {rest} more" if rest > 0 else ""
    yield f"tenants: no caller may use {', '.join(map(masked_name, shown))}{more}"
