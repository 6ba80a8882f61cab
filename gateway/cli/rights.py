"""By whose rights `check` judges files: what it says must be what `serve` will meet.

A user's rights are taken on for good, by this whole process, before anything is judged.
"""

import grp
import os
import pwd
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ROOT = 0


class User(NamedTuple):
    """Whose rights count: a name or number to show, and the ids. `groups` are all of them."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def named(text: str) -> User:
    """The user of that name, or of that number with or without a group: `1000`, `1000:1000`.

    Raises `ValueError`.
    """
    first, _, group = text.partition(":")
    if first.isascii() and first.isdigit():
        uid = int(first)
        if group:
            if not (group.isascii() and group.isdigit()):
                raise ValueError("a number is expected after the colon")
            return User(text, uid, int(group), (int(group),))
        try:
            return _of(pwd.getpwuid(uid))
        except KeyError:
            raise ValueError("there is no user of that number; UID:GID names one") from None
    try:
        return _of(pwd.getpwnam(text))
    except KeyError:
        raise ValueError("there is no user of that name") from None


def service_user(vault_file: Path) -> User | None:
    """The user that the vault file was made for: its owner, else the one whose own group it has.

    None if that is root, or not clear.
    """
    try:
        status = vault_file.stat()
        if status.st_uid != ROOT:
            return _of(pwd.getpwuid(status.st_uid))
    except (OSError, KeyError):
        return None
    if status.st_gid == ROOT:
        return None
    users = [user for user in pwd.getpwall() if user.pw_gid == status.st_gid]
    return _of(users[0]) if len(users) == 1 else None


def become(user: User) -> None:
    """Takes on the rights of that user, and gives up all others. Raises `PermissionError`."""
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)


def join_groups(user: User | None) -> None:
    """Belongs to that user's groups as well from now on, if this process may."""
    if user is not None:
        with suppress(PermissionError):
            os.setgroups(sorted({*os.getgroups(), *user.groups}))


def _of(entry: pwd.struct_passwd) -> User:
    member_of = (group.gr_gid for group in grp.getgrall() if entry.pw_name in group.gr_mem)
    groups = tuple(dict.fromkeys((entry.pw_gid, *member_of)))
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid, groups)
