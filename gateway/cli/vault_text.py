"""Changes to the text of a vault file, comments and order kept. Decides; does no I/O.

Rule: what comes out is a vault file that loads, or an error; no message quotes a key.
"""

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

import tomlkit
from pydantic import ValidationError
from tomlkit.items import InlineTable

from gateway.secret import Secret
from gateway.settings.findings import Findings
from gateway.settings.key_sources import KeySource
from gateway.settings.vault_file import TenantEntry, VaultFile
from gateway.vault.sources.key_check import fault_in

# A value in the vault file may replace these unasked: a value, and what only a restart can change.
_REPLACEABLE: Final = ("value", "env")
_MOST_NAMES: Final = 10


class EditError(Exception):
    """The change cannot be made; the message says why, for the operator."""


class Entry(NamedTuple):
    """One key of a vault file; with a `fingerprint` only if the file holds the key itself.

    A tenant that shares another's key has one without a `slot`.
    """

    tenant: str
    slot: str
    source: str
    fingerprint: str


def entries(text: str) -> list[Entry]:
    """Every key that the file names, in its order; then the tenants that share one."""
    vault = _checked(text)
    return [
        Entry(tenant, slot, source.describe(), source.value.fingerprint if source.value else "")
        for tenant, entry in vault.tenants.items()
        for slot, source in _slots(entry)
    ] + [Entry(tenant, "", f"use {entry.use}", "") for tenant, entry in vault.sharing.items()]


def refuse_source(text: str, tenant: str) -> None:
    """Raises `EditError` if that tenant's key is in a file or store: a new value would replace it.

    From then on nobody would notice that the key in the store is no longer used.
    """
    entry = _checked(text).tenants.get(tenant)
    if entry is not None and entry.key.kind not in _REPLACEABLE:
        raise EditError(
            f"the key of {tenant} is read from {entry.key.describe()}: change it there, "
            "or use --replace-source to have the new key in the vault file instead"
        )


def refuse_shared(text: str, tenant: str) -> None:
    """Raises `EditError` if that tenant is listed without a key of its own."""
    entry = _checked(text).sharing.get(tenant)
    if entry is not None:
        raise EditError(
            f"{tenant} uses the key of {entry.use}: change it there, "
            f"or remove {tenant} first to give it a key of its own"
        )


def with_key(text: str, tenant: str, key: Secret) -> str:
    """The text with `key` as that tenant's key; its other settings stay."""
    refuse_shared(text, tenant)
    document = _parse(text)
    _table(document, tenant)["key"] = _inline(key)
    return _finished(document)


def rotated(text: str, tenant: str, key: Secret) -> str:
    """The text with `key` as that tenant's key, and its current key as `previous`."""
    refuse_shared(text, tenant)
    document = _parse(text)
    table = _existing(document, tenant)
    used = tomlkit.inline_table()
    used.update(table["key"].unwrap())
    table["key"] = _inline(key)
    if "previous" in table:
        table["previous"] = used
    else:
        # At the table's end it would come after comments that belong to the next table.
        table.value._insert_after("key", "previous", used)  # noqa: SLF001
    return _finished(document)


def without(text: str, tenant: str) -> str:
    """The text without that tenant; raises `EditError` while others use its key."""
    document = _parse(text)
    _existing(document, tenant)
    users = [name for name, entry in _checked(text).sharing.items() if entry.use == tenant]
    if users:
        shown = ", ".join(users[:_MOST_NAMES])
        more = f" and {len(users) - _MOST_NAMES} more" if len(users) > _MOST_NAMES else ""
        raise EditError(f"the key of {tenant} is used by {shown}{more}: remove those first")
    document["tenants"].remove(tenant)
    left = _cut(text, tenant)
    if _tree(left) != document.unwrap():
        left = tomlkit.dumps(document)  # no table of its own, or one in several pieces
    if "tenants" not in _tree(left):
        # An empty vault needs an empty `[tenants]`: no table at all counts as a partial write.
        left = f"{left}\n[tenants]\n" if left.strip() else "[tenants]\n"
    _checked(left)
    return left


def _cut(text: str, tenant: str) -> str:
    """The text without the lines of `[tenants.T]`, but with the comments before the next table."""
    lines = text.splitlines(keepends=True)
    names = "|".join(re.escape(name) for name in (tenant, f'"{tenant}"', f"'{tenant}'"))
    header = re.compile(rf"\s*\[\s*tenants\s*\.\s*({names})\s*\]")
    starts = [number for number, line in enumerate(lines) if header.match(line)]
    if len(starts) != 1:
        return text
    end = starts[0] + 1
    while end < len(lines) and not lines[end].lstrip().startswith("["):
        end += 1
    while end < len(lines) and lines[end - 1].strip()[:1] in {"", "#"}:
        end -= 1
    while end < len(lines) and not lines[end].strip():
        end += 1
    return "".join(lines[: starts[0]] + lines[end:])


def _parse(text: str) -> Any:
    _tree(text)
    return tomlkit.parse(text)


def _tree(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # The decoder's message may quote a line, and so a key.
        raise EditError("the vault file is not TOML") from None


def _table(document: Any, tenant: str) -> Any:
    tenants = document.setdefault("tenants", tomlkit.table(is_super_table=True))
    if tenant not in tenants and isinstance(tenants, InlineTable):
        tenants[tenant] = tomlkit.inline_table()
    elif tenant not in tenants:
        tenants[tenant] = tomlkit.table().add(tomlkit.nl())
    return tenants[tenant]


def _existing(document: Any, tenant: str) -> Any:
    tenants = document.get("tenants", {})
    if tenant in tenants:
        return tenants[tenant]
    globs = [name for name in tenants if "*" in name and fnmatchcase(tenant, name)]
    if globs:
        raise EditError(f"{tenant} is not listed; it is covered by {max(globs, key=len)!r}")
    raise EditError(f"the vault file has no tenant {tenant!r}")


def _inline(key: Secret) -> Any:
    if fault := fault_in(key.reveal()):
        raise EditError(f"the key {fault}")
    table = tomlkit.inline_table()
    table["value"] = key.reveal()
    return table


def _finished(document: Any) -> str:
    text = tomlkit.dumps(document)
    _checked(text)
    return text


def _checked(text: str) -> VaultFile:
    """The file as the gateway would load it: a change that it would refuse is not written."""
    tree = _tree(text)
    try:
        # No directory: a path stays as it was written.
        return VaultFile.model_validate(tree, context={"directory": Path()})
    except ValidationError as error:
        findings = Findings("", {})
        findings.add_errors((), VaultFile, tree, error)
        problem = findings.problems[0]
        reason = f"{problem.key}: found {problem.found}, expected {problem.expected}"
        raise EditError(f"the vault file would not load: {reason}") from None


def _slots(entry: TenantEntry) -> list[tuple[str, KeySource]]:
    slots = [("key", entry.key)]
    return slots if entry.previous is None else [*slots, ("previous", entry.previous)]
