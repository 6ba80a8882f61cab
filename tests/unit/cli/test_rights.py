"""Whose rights count: users by name and number, and the one that a vault file was made for."""

import os
import pwd
from pathlib import Path

import pytest

from gateway.cli import rights


def test_a_user_by_name_and_by_number() -> None:
    """The same user, with every group that it is in."""
    entry = pwd.getpwuid(os.geteuid())
    by_name, by_number = rights.named(entry.pw_name), rights.named(str(entry.pw_uid))
    assert by_name == by_number
    assert (by_name.uid, by_name.gid, by_name.groups[0]) == (
        entry.pw_uid,
        entry.pw_gid,
        entry.pw_gid,
    )


def test_a_container_s_user_need_not_be_known() -> None:
    """A number with a group is enough."""
    assert rights.named("4000000:4000001")[1:] == (4000000, 4000001, (4000001,))


@pytest.mark.parametrize("text", ["", "no such user", "4000000", "4000000:", "4000000:x", "-1"])
def test_who_is_not_a_user(text: str) -> None:
    """It is said, not taken for anybody."""
    with pytest.raises(ValueError, match=r"no user|a number"):
        rights.named(text)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_the_service_s_user_is_told_by_the_vault_file(tmp_path: Path) -> None:
    """Its owner; else the user whose own group may read it; root's file tells nobody."""
    vault = tmp_path / "vault.toml"
    assert rights.service_user(vault) is None
    vault.touch(0o640)
    assert rights.service_user(vault) is None
    nobody = pwd.getpwnam("nobody")
    os.chown(vault, nobody.pw_uid, 0)
    assert rights.service_user(vault) == rights.named("nobody")
    own = [user for user in pwd.getpwall() if user.pw_gid == nobody.pw_gid]
    os.chown(vault, 0, nobody.pw_gid)
    assert (rights.service_user(vault) is not None) == (len(own) == 1)
    os.chown(vault, 4000000, 0)
    assert rights.service_user(vault) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another's files to edit")
def test_root_belongs_to_the_service_s_groups() -> None:
    """And keeps its own: what the service's group may read is as private to root."""
    before = os.getgroups()
    try:
        rights.join_groups(rights.named("4000000:4000001"))
        assert set(os.getgroups()) == {*before, 4000001}
        rights.join_groups(None)
        assert set(os.getgroups()) == {*before, 4000001}
    finally:
        os.setgroups(before)
