"""Files with secrets that others may read, and what interrupted changes left: warnings of `check`.

Rule: looks at names and permissions only, and opens nothing.
"""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from gateway.cli.vault_files import leftovers
from gateway.settings.key_sources import KeySource
from gateway.settings.load import Loaded

_MOST: Final = 20  # a vault may name 100,000 files
# Settings that are the path of a secret itself; every other secret is a `KeySource`.
_SECRET_PATHS: Final = ("tls_key", "jwks_bearer_file")


def secret_file_warnings(loaded: Loaded) -> list[str]:
    """A line for each such file, with the key path that names it."""
    left = [
        f"vault.file: {path} was left by an interrupted change and may hold keys; remove it"
        for path in leftovers(loaded.vault_path)
    ]
    opened = [
        f"{place}: others may read {path}; chmod 600, or 640 if its group has to read it"
        for place, path in _secret_files(loaded)
        if _open_to_others(path)
    ]
    more = [f"tenants: {len(opened) - _MOST} more files that others may read"]
    return [*left, *opened[:_MOST], *(more if opened[_MOST:] else [])]


def _secret_files(loaded: Loaded) -> Iterator[tuple[str, Path]]:
    yield from _in_settings("", loaded.settings)
    for tenant, entry in loaded.vault.tenants.items():
        yield from _in_settings(f"tenants.{tenant}.key", entry.key)
        yield from _in_settings(f"tenants.{tenant}.previous", entry.previous)


def _in_settings(place: str, value: object) -> Iterator[tuple[str, Path]]:
    if isinstance(value, KeySource):
        if value.file is not None:
            yield place, value.file
    elif isinstance(value, Path):
        if place.rpartition(".")[2] in _SECRET_PATHS:
            yield place, value
    else:
        for name, member in _members(value):
            yield from _in_settings(f"{place}{name}".lstrip("."), member)


def _members(value: object) -> Iterator[tuple[str, object]]:
    """What a table or a list holds, each with its step of the key path."""
    if isinstance(value, BaseModel):
        yield from ((f".{name}", getattr(value, name)) for name in type(value).model_fields)
    elif isinstance(value, dict):
        yield from ((f".{name}", member) for name, member in value.items())
    elif isinstance(value, tuple | list):
        yield from ((f"[{index}]", member) for index, member in enumerate(value))


def _open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False  # whoever needs the file says so
