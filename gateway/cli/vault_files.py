"""Reads and replaces vault files, plain or encrypted, atomically and unreadable to others.

Rule: whatever happens (a full disk, a crash, two at once) the file is the old one or the new one,
and its owner and group can read it as before.
"""

import contextlib
import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from gateway.cli.vault_text import EditError
from gateway.secret import Secret
from gateway.settings.schema import VaultSettings
from gateway.settings.sealed import SUFFIX, new_identity, read_identity, seal, unseal

# What is kept of a file's permissions: the group may be allowed to read it, others never are.
_OWNER_AND_GROUP: Final = 0o640
_OWNER_ALONE: Final = 0o600
_SUFFIX: Final = ".tmp"
# As `mkstemp` names them. Version 0.1 had no suffix: a word such as "original" is somebody's file.
_TEMPORARY: Final = r"(?:[a-z0-9_]{8}\.tmp|(?=[a-z]*[0-9_])[a-z0-9_]{8})"


class VaultText(NamedTuple):
    """A vault file to work on; `identity` is used only if its name ends in `.age`."""

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
        raise EditError(f"{vault.path} is not UTF-8") from None


def write(vault: VaultText, text: str) -> None:
    """Replaces or creates the file: written beside it, synced, renamed; a new one has mode 0600."""
    target = Path(os.path.realpath(vault.path))  # a symlink stays one
    _write(vault, text, target, target)


def change(vault: VaultText, edit: Callable[[str], str]) -> None:
    """Reads, edits and writes; two at once wait for each other."""
    with _locked(Path(os.path.realpath(vault.path))):
        _remove_leftovers(vault.path)
        write(vault, edit(read(vault)))


def leftovers(vault_file: Path) -> list[Path]:
    """Temporary files that interrupted changes left beside the vault file; they may hold keys."""
    target = Path(os.path.realpath(vault_file))
    stem, suffix = re.escape(target.name.removesuffix(SUFFIX)), re.escape(SUFFIX)
    named = re.compile(rf"\.{stem}({suffix})?\.{_TEMPORARY}")
    try:
        with os.scandir(target.parent) as found:
            return sorted(
                Path(one.path)
                for one in found
                if named.fullmatch(one.name) and one.is_file(follow_symlinks=False)
            )
    except OSError:
        return []


def convert(vault: VaultText, to: Path) -> VaultText:
    """Writes the vault to `to` in the form that its name says, and removes the old file.

    A file with a second name is refused: it would remain under that name.
    """
    with _locked(vault.path):
        _refuse_links(vault.path)
        _remove_leftovers(vault.path)
        converted = VaultText(to, vault.identity)
        if os.path.lexists(to):
            raise EditError(f"{to} exists already")
        _write(converted, read(vault), to, vault.path)
        try:
            vault.path.unlink()
        except OSError as error:
            to.unlink()
            raise EditError(f"{vault.path}: {error.strerror}") from None
        return converted


def make_identity(path: Path, vault: Path) -> Secret:
    """A new age identity, synced to a new file that only the vault's owner can read."""
    identity, _ = new_identity()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    except OSError as error:
        raise EditError(f"{path}: {error.strerror}") from None
    try:
        _fill(descriptor, identity.reveal().encode() + b"\n", vault, _OWNER_ALONE)
        _sync_directory(path.parent)
    except OSError as error:
        path.unlink()
        raise EditError(f"{path}: {error.strerror}") from None
    return identity


def _remove_leftovers(vault_file: Path) -> None:
    """Only while the directory is locked: nobody else's change is under way."""
    for path in leftovers(vault_file):
        with contextlib.suppress(OSError):  # `check` still warns of it
            path.unlink()


def _refuse_links(path: Path) -> None:
    real = os.path.realpath(path)
    if path.is_symlink():
        raise EditError(f"{path} is a link: set vault.file to the file itself, {real}")
    if path.exists() and path.stat().st_nlink > 1:
        raise EditError(f"{path} has other names (hard links): remove those first")


def _write(vault: VaultText, text: str, target: Path, like: Path) -> None:
    """Puts the vault at `target`; who may read the file `like`, if there is one, may read it."""
    data = text.encode()
    if vault.sealed:
        data = seal(vault.path, data, _identity(vault))
    try:
        _replace(target, data, like)
    except OSError as error:
        raise EditError(f"{vault.path}: {error.strerror}") from None


def _identity(vault: VaultText) -> Secret:
    if vault.identity is None:
        raise EditError("the vault file is encrypted: set vault.identity to its age identity")
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


def _replace(target: Path, data: bytes, like: Path) -> None:
    descriptor, name = tempfile.mkstemp(
        prefix=f".{target.name}.", suffix=_SUFFIX, dir=target.parent
    )  # mode 0600
    try:
        _fill(descriptor, data, like, _OWNER_AND_GROUP)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_directory(target.parent)


def _fill(descriptor: int, data: bytes, like: Path, mode: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        _keep_access(like, descriptor, mode)
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _keep_access(like: Path, descriptor: int, mode: int) -> None:
    # Whoever edits it, root included, the gateway's own user must still be able to read it.
    try:
        old, new = like.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            reason = "its owner and group cannot be kept: run this as root"
            raise PermissionError(errno.EPERM, reason) from None
    os.fchmod(descriptor, old.st_mode & mode)
