"""Files with secrets that others may read: warnings of `check`, the log and the status page.

Rule: looks at names and permissions only, and opens nothing.
"""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from gateway.settings.key_sources import KeySource
from gateway.settings.schema import Settings
from gateway.settings.vault_file import VaultFile
from gateway.settings.wording import KeyPath, key_path

_MOST: Final = 20  # a vault may name 100,000 files
# Settings that are the path of a secret itself; every other secret is a `KeySource`.
_SECRET_PATHS: Final = ("tls_key", "key", "jwks_bearer_file")


def open_secret_files(settings: Settings, vault: VaultFile) -> Iterator[str]:
    """A line for each such file, with the key path that names it."""
    opened = [(place, path) for place, path in _secret_files(settings, vault) if _is_open(path)]
    for place, path in opened[:_MOST]:
        advice = "chmod 600, or 640 if its group has to read it"
        yield f"{key_path(place)}: others may read {path}; {advice}"
    if len(opened) > _MOST:
        yield f"tenants: {len(opened) - _MOST} more files that others may read"


def _secret_files(settings: Settings, vault: VaultFile) -> Iterator[tuple[KeyPath, Path]]:
    yield from _within((), settings)
    for tenant, entry in vault.tenants.items():
        yield from _within(("tenants", tenant, "key"), entry.key)
        yield from _within(("tenants", tenant, "previous"), entry.previous)


def _within(place: KeyPath, value: object) -> Iterator[tuple[KeyPath, Path]]:
    if isinstance(value, KeySource):
        if value.file is not None:
            yield place, value.file
    elif isinstance(value, Path):
        if place[-1] in _SECRET_PATHS:
            yield place, value
    else:
        for name, member in _members(value):
            yield from _within((*place, name), member)


def _members(value: object) -> Iterator[tuple[str | int, object]]:
    """What a table or a list holds, each with its step of the key path."""
    if isinstance(value, BaseModel):
        yield from ((name, getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, tuple | list):
        yield from enumerate(value)


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False  # whoever needs the file says so
