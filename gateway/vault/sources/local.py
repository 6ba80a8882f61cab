"""Keys of this machine: variables, files, and values in the vault file itself.

A file that is being rewritten in place is read only once it no longer changes, so that no partial
key is ever used.
"""

import asyncio
import os
import stat
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Final, NamedTuple

from gateway.secret import Secret
from gateway.settings.key_sources import KeySource
from gateway.vault.sources.source import (
    DENIED,
    MALFORMED,
    NOT_FOUND,
    UNAVAILABLE,
    Connections,
    ReadFailure,
    Source,
    SourceError,
    member,
)
from gateway.watcher import Mark, mark_of


class EnvSource(Source):
    """`{ env = "NAME" }`"""

    def __init__(self, connections: Connections) -> None:
        self._environ = connections.environ

    async def read(self, source: KeySource) -> Secret:
        """The variable's value; raises `SourceError` if it is not set."""
        value = self._environ.get(source.reference)
        if value is None:
            raise SourceError(
                NOT_FOUND,
                f"environment variable {source.describe().removeprefix('env ')} is not set",
            )
        return Secret(value)

    def mark(self, source: KeySource) -> Hashable:
        """It cannot change while it is configured."""
        return source.kind


class ValueSource(Source):
    """`{ value = "…" }`"""

    def __init__(self, connections: Connections) -> None:
        del connections

    async def read(self, source: KeySource) -> Secret:
        """The value as the file gives it."""
        if source.value is None:
            raise SourceError(NOT_FOUND, "no value is given")
        return source.value

    def mark(self, source: KeySource) -> Hashable:
        """It cannot change while it is configured."""
        return source.kind


MAX_SIZE: Final = 1024 * 1024  # a JSON file may hold many members; no valid one is larger
SETTLED_AFTER: Final = 0.2  # seconds in which neither size nor time may change
MAX_ROUNDS: Final = 8  # then it is an error; a first read waits 2 s at most


class _Read(NamedTuple):
    content: bytes
    mark: Mark
    age: float


class FileSource(Source):
    """`{ file = "PATH" }`, one trailing newline stripped; with `field`, a member of a JSON file."""

    def __init__(self, connections: Connections) -> None:
        del connections

    async def read(self, source: KeySource) -> Secret:
        """The file's content now; raises `SourceError` if it cannot be read or is not UTF-8."""
        place = source.describe()
        content = await _settled(Path(source.reference), place)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            # The codec's own message quotes the content.
            raise SourceError(MALFORMED, f"{place} is not UTF-8") from None
        return Secret(
            member(text, source.field, place) if source.field else text.removesuffix("\n")
        )

    def mark(self, source: KeySource) -> Hashable:
        """Which file it is, in which state: a reload looks at 10,000 of them, and reads few."""
        try:
            return mark_of(Path(source.reference).stat())
        except OSError:
            return None


async def _settled(path: Path, place: str) -> bytes:
    """The content, once size and time have not changed for as long as a writer may pause."""
    read = await asyncio.to_thread(_read, path, place)
    for _ in range(MAX_ROUNDS):
        if not 0 <= read.age < SETTLED_AFTER:
            return read.content
        await asyncio.sleep(SETTLED_AFTER - read.age)
        again = await asyncio.to_thread(_read, path, place)
        if again.mark == read.mark:
            return again.content
        read = again
    raise SourceError(UNAVAILABLE, f"{place} keeps changing")


def _read(path: Path, place: str) -> _Read:
    try:
        # O_NONBLOCK: opening a FIFO must not hang the thread.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            content = (
                file.read(MAX_SIZE + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
            )
            status = os.fstat(descriptor)
    except OSError as error:
        raise SourceError(_outcome(error), f"{place}: {os.strerror(error.errno or 0)}") from None
    if content is None:
        raise SourceError(MALFORMED, f"{place} is not a regular file")
    if len(content) > MAX_SIZE:
        raise SourceError(MALFORMED, f"{place} is larger than {MAX_SIZE} bytes")
    return _Read(content, mark_of(status), time.time() - status.st_mtime)


def _outcome(error: OSError) -> ReadFailure:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NOT_FOUND
    return DENIED if isinstance(error, PermissionError) else UNAVAILABLE
