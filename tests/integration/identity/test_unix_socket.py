"""Callers on a Unix socket, known by the uid that the kernel tells; and the socket's file."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.gateway import run
from tests.support.listeners import Site
from tests.support.world import ENVIRON, KEY_A, KEY_B, TOK_B


@contextmanager
def on_socket(directory: Path, path: Path, *networks: str, mode: str = "0660") -> Iterator[Site]:
    """A gateway on that socket; `local` and then `other` are whoever the networks mean."""
    listen = {"socket": str(path), "socket_mode": mode}
    callers = {
        name: {"networks": [network], "issuers": [], "tenants": [tenant]}
        for name, network, tenant in zip(
            ("local", "other"), networks, ("acme", "globex"), strict=False
        )
    }
    with Site(directory, {"listen": listen, "callers": callers}, "host", "port") as site:
        yield site


def test_by_uid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`unix:UID` is that uid and no other; it decides before `unix`, which is any."""
    path, own = tmp_path / "gw.sock", os.getuid()
    with on_socket(tmp_path, path, f"unix:{own}", "unix", mode="0600") as site:
        reply = site.over_socket(path, X_Request_Id="by-uid")
        assert (reply.status, site.gateway.exchange("by-uid")["caller"]) == (200, "local")
        assert site.gateway.exchange("by-uid")["by"] == "network"
        (seen,) = site.origin.requests
        assert seen.all("authorization") == [f"Bearer {KEY_A}"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert site.gateway.told("listening", 2)[-1]["url"] == f"unix:{path}"

        # A web page in a browser cannot reach a socket; one behind something that can is refused.
        for header in ({"Origin": "https://evil"}, {"Sec_Fetch_Site": "same-origin"}):
            refused = site.over_socket(path, **header)
            assert (refused.status, refused.get("x-gateway-error")) == (403, "browser_refused")
        # A token that is shown comes first, and a wrong one does not fall through.
        site.origin.start_over()
        assert site.over_socket(path, Authorization=f"Bearer {TOK_B}").status == 200
        assert site.origin.requests[0].all("authorization") == [f"Bearer {KEY_B}"]
        assert site.over_socket(path, Authorization="Bearer wrong").status == 401

        # Another uid: the same socket, another caller. (Only root can become somebody else.)
        if own == 0:
            path.chmod(0o666)
            tmp_path.chmod(0o711)
            monkeypatch.chdir(tmp_path)  # the directories above are closed to others
            assert _key_for(site, Path(path.name), 12345) == KEY_B
            assert _key_for(site, Path(path.name), 65534) is None  # what unmapped uids look like
        assert site.gateway.stop() == 0
    assert not path.exists()


def _key_for(site: Site, path: Path, uid: int) -> str | None:
    """The key that a request of this uid is sent on with."""
    site.origin.start_over()
    before = os.geteuid()
    os.seteuid(uid)  # `SO_PEERCRED` tells the effective uid at connect
    try:
        status = site.over_socket(path).status
    finally:
        os.seteuid(before)
    assert status == (200 if site.origin.requests else 401)
    keys = [seen.all("authorization")[0] for seen in site.origin.requests]
    return keys[0].removeprefix("Bearer ") if keys else None


def test_wrong_uid_and_stale_socket(tmp_path: Path) -> None:
    """A uid that no network means is nobody; a leftover that nothing listens on is replaced."""
    path = tmp_path / "gw.sock"
    with socket.socket(socket.AF_UNIX) as leftover:
        leftover.bind(str(path))
    inode = path.stat().st_ino
    with on_socket(tmp_path, path, f"unix:{os.getuid() + 1}") as site:
        reply = site.over_socket(path)
        assert (reply.status, reply.get("x-gateway-error")) == (401, "unauthenticated")
        assert not site.origin.requests
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert site.over_socket(path, Authorization=f"Bearer {TOK_B}").status == 200
        assert path.stat().st_ino != inode or path.is_socket()

        # A second gateway does not take the socket from the first.
        code, printed = run(["serve", "--config", str(site.gateway.config)], ENVIRON)
        assert code == 1
        assert "another process listens there" in printed
        assert "Traceback" not in printed
        assert site.over_socket(path, Authorization=f"Bearer {TOK_B}").status == 200


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """Nothing is deleted that a gateway could not have left behind."""
    path = tmp_path / "gw.sock"
    path.write_text("precious")
    with pytest.raises(AssertionError, match="not a socket"), on_socket(tmp_path, path, "unix"):
        pass
    assert path.read_text() == "precious"
