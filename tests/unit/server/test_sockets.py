"""What a listener listens on: ports, shared ports, IPv6, Unix sockets, TLS."""

import asyncio
import socket
import ssl
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.errors import ConfigurationError
from gateway.server.sockets import open_callers
from gateway.settings.schema import Settings
from tests.support.async_caller import Wire
from tests.unit.server.processes import Start

GET = b"GET /%b HTTP/1.1\r\nHost: gw\r\n\r\n"


async def test_several_processes_share_a_port(start: Start) -> None:
    """With `reuse_port`; without it, the second one is refused."""
    first = await start(reuse_port=True)
    await first.ready()
    port = int(first.urls["callers"].rpartition(":")[2])
    second = await start(reuse_port=True, port=port)
    await second.ready()
    assert second.urls["callers"] == first.urls["callers"]
    third = await start(port=port)
    assert await third.code() == 1


async def test_ipv6(start: Start) -> None:
    """The address is written in brackets in the URL."""
    process = await start(host="::1")
    await process.ready()
    assert process.urls["callers"].startswith("http://[::1]:")
    wire = await process.wire()
    assert (await wire.exchange(GET % b"")).status == 200


async def test_a_unix_socket(start: Start, tmp_path: Path) -> None:
    """Has its mode from the start, replaces a dead one's file, spares a living one's, and goes."""
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    process = await start(socket=str(path), socket_mode="0600")
    await process.ready()
    assert process.urls["callers"] == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with await Wire.connect(str(path)) as wire:
        assert (await wire.exchange(GET % b"")).status == 200
    second = await start(socket=str(path))
    assert await second.code() == 1
    async with await Wire.connect(str(path)) as wire:
        assert (await wire.exchange(GET % b"")).status == 200
    process.stop()
    assert await process.code() == 0
    assert not path.exists()


async def test_tls(start: Start, tmp_path: Path) -> None:
    """A client certificate is asked for, not required, and must be trusted."""
    ca, other = trustme.CA(), trustme.CA()
    issued = ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    files = {"tls_certificate": "cert.pem", "tls_key": "key.pem", "client_ca": "ca.pem"}
    process = await start(**{name: str(tmp_path / file) for name, file in files.items()})
    await process.ready()
    assert process.urls["callers"].startswith("https://")

    def context() -> ssl.SSLContext:
        made = ssl.create_default_context()
        ca.configure_trust(made)
        return made

    trusted, forged = context(), context()
    ca.issue_cert("client.test").configure_cert(trusted)
    other.issue_cert("client.test").configure_cert(forged)
    for tls in (context(), trusted):
        wire = await process.wire(tls=tls)
        assert (await wire.exchange(GET % b"")).status == 200
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await (await process.wire(tls=forged)).exchange(GET % b"")


def test_tls_is_modern(tmp_path: Path) -> None:
    """TLS 1.2 or later, whatever the system's policy says."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    pem = tmp_path / "both.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(pem))
    files = {"tls_certificate": str(pem), "tls_key": str(pem), "port": 0}
    sockets = open_callers(Settings.model_validate({"listen": files}).listen)
    sockets.close()
    assert sockets.tls is not None
    assert sockets.tls.minimum_version is ssl.TLSVersion.TLSv1_2
    assert sockets.tls.verify_mode is ssl.CERT_NONE


def resolving_to(*hosts: str) -> Callable[..., list[Any]]:
    """A name service that finds these addresses for every name."""
    family = {True: socket.AF_INET6, False: socket.AF_INET}

    def look_up(name: str, port: int, **_: object) -> list[Any]:
        return [
            (
                family[":" in host],
                socket.SOCK_STREAM,
                6,
                "",
                (host, port, 0, 0)[: 4 if ":" in host else 2],
            )
            for host in hosts
        ]

    return look_up


@pytest.mark.parametrize("lacked", ["2001:db8::1", "192.0.2.1"])
@pytest.mark.parametrize("first", [True, False])
def test_an_address_that_the_machine_lacks_is_left_out(
    monkeypatch: pytest.MonkeyPatch, lacked: str, first: bool
) -> None:
    """`localhost` where IPv6 is off: the other address is served, and the lack is known."""
    hosts = (lacked, "127.0.0.1") if first else ("127.0.0.1", lacked)
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to(*hosts))
    opened = open_callers(
        Settings.model_validate({"listen": {"host": "localhost", "port": 0}}).listen
    )
    try:
        assert [sock.getsockname()[0] for sock in opened.bound] == ["127.0.0.1"]
        assert list(opened.missing) == [lacked]
    finally:
        opened.close()


def test_a_name_of_which_the_machine_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """That is an error that names the setting."""
    monkeypatch.setattr(socket, "getaddrinfo", resolving_to("2001:db8::1", "192.0.2.1"))
    with pytest.raises(ConfigurationError) as refused:
        open_callers(Settings.model_validate({"listen": {"host": "elsewhere", "port": 0}}).listen)
    assert [problem.key for problem in refused.value.problems] == ["listen.host"]


def test_a_taken_address_is_an_error_however_many_others_are_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only addresses that are not this machine's are left out."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to("127.0.0.2", "127.0.0.1"))
        with pytest.raises(ConfigurationError) as refused:
            open_callers(Settings.model_validate({"listen": {"port": port}}).listen)
    assert [problem.key for problem in refused.value.problems] == ["listen.port"]
