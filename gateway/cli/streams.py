"""The standard streams, and new files, as commands need them.

Rule: what cannot be said is an error, never lost.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getpass
from pathlib import Path
from typing import Final, NoReturn

import typer

# What writing fails with; files that commands write have their own messages.
_WRITING: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE})


@contextmanager
def guarded() -> Iterator[None]:
    """Within it every stream can be used; an output that takes nothing ends it, exit code 1."""
    # Python has None in the place of what was closed, and the next file opened takes its number.
    if sys.stdin is None:
        sys.stdin = os.fdopen(os.open(os.devnull, os.O_RDONLY), closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", closefd=False)
    if sys.stdout is None:
        _fail("standard output is closed")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be no Unicode
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        _told(error)


def secret_line(question: str, *, err: bool = True) -> str:
    """A secret: asked for without echo in a terminal (on stderr if `err`), else a line of stdin."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    try:
        # Not typer.prompt(): it shows the question first, and until echo is off, what is typed.
        while not (secret := getpass(f"{question}: ", sys.stderr if err else sys.stdout)):
            pass
    except (KeyboardInterrupt, EOFError):
        raise typer.Abort from None
    return secret


def create(path: Path, content: bytes, mode: int) -> None:
    """Writes a new file, with that mode from its first moment on.

    Raises OSError, also if it is there already.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _told(error: OSError) -> None:
    """Ends with a message: nobody else expected this error. A reader that left wants none."""
    reason = error.strerror or type(error).__name__
    if error.filename is not None:
        _fail(f"{os.fsdecode(error.filename)}: {reason}")
    if error.errno not in _WRITING:
        _fail(reason)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what still waits goes there
    if error.errno == errno.EPIPE:
        raise SystemExit(1)
    _fail(f"standard output: {reason}")


def _fail(reason: str) -> NoReturn:
    typer.echo(f"error: {reason}", err=True)
    raise SystemExit(1) from None
