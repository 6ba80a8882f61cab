"""Reads and replaces vault files, plain or encrypted: whole, at one stroke, closed to others.

Law: whatever happens (a full disk, a crash, two at once) the file is the old one or the new one.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gateway.secret import Secret
from gateway.settings.schema import Vault as VaultSettings
from gateway.settings.sealed import SUFFIX, read_identity, seal, unseal
from gateway.vault.edit import EditError


class VaultText(NamedTuple):
    """A vault file to work on; `identity` is needed, and used, only if its name ends in `.age`."""

    path: Path
    identity: Secret | None

    @property
    def sealed(self) -> bool:
        """Whether the file is encrypted."""
        return self.path.suffix == SUFFIX


def open_vault(settings: VaultSettings, environ: Mapping[str, str]) -> VaultText:
    """The vault file of these settings; raises `ConfigurationError` if its identity is missing."""
    path = settings.file
    if path.suffix != SUFFIX and settings.identity is None:
        return VaultText(path, None)
    return VaultText(path, read_identity(path, settings.identity, environ))


def read(vault: VaultText) -> str:
    """The file's text; raises `EditError` or `ConfigurationError`."""
    try:
        data = vault.path.read_bytes()
        if vault.sealed:
            data = unseal(vault.path, data, _identity(vault))
        return data.decode()
    except OSError as error:
        raise EditError(f"{vault.path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise EditError(f"{vault.path} is no UTF-8") from None


def write(vault: VaultText, text: str) -> None:
    """Replaces the file, or makes it: written beside it, synced, renamed; mode 0600."""
    data = text.encode()
    if vault.sealed:
        data = seal(vault.path, data, _identity(vault))
    target = Path(os.path.realpath(vault.path))  # a symlink stays one
    try:
        _replace(target, data)
    except OSError as error:
        raise EditError(f"{vault.path}: {error.strerror}") from None


def change(vault: VaultText, edit: Callable[[str], str]) -> None:
    """Reads, edits and writes; two at once wait for each other."""
    with _locked(vault.path):
        write(vault, edit(read(vault)))


def convert(vault: VaultText, to: Path) -> VaultText:
    """Writes the vault to `to` in the form that its name says, and removes the old file."""
    with _locked(vault.path):
        converted = VaultText(to, vault.identity)
        if to.exists():
            raise EditError(f"{to} exists already")
        write(converted, read(vault))
        vault.path.unlink()
        return converted


def _identity(vault: VaultText) -> Secret:
    if vault.identity is None:
        raise EditError("vault.identity names nothing to open the vault file with")
    return vault.identity


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    # The directory: the file itself is replaced by each change.
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise EditError(f"{path.parent}: {error.strerror}") from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _replace(target: Path, data: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            _keep_owner(target, descriptor)
            os.fsync(descriptor)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _keep_owner(target: Path, descriptor: int) -> None:
    # Root edits the file of the user that the gateway runs as.
    with contextlib.suppress(OSError):
        status = target.stat()
        os.fchown(descriptor, status.st_uid, status.st_gid)
