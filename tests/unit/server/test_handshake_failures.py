"""Handshakes that fail: the caller reads why, the operator is told, and the listener goes on."""

import asyncio
import socket
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from gateway.events import Noticed, TlsHandshakeFailed
from gateway.server import handshake
from tests.support.async_caller import Wire
from tests.unit.server.opened import GET, Authority, Opened, opened

DAY = timedelta(days=1)


def outcome(address: tuple[str, int], context: ssl.SSLContext) -> str:
    """What a caller reads: the start of a reply, or OpenSSL's word for the alert."""
    with socket.create_connection(address, 10) as plain:
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as wire:
                wire.sendall(GET)
                return wire.recv(12).decode()
        except ssl.SSLError as error:
            return error.reason


def failures(served: Opened) -> list[str]:
    """The reasons that were counted; each first of them has its line in the log."""
    reasons = [event.reason for event in served.events if isinstance(event, TlsHandshakeFailed)]
    lines = [event.fields for event in served.events if isinstance(event, Noticed)]
    told = {line["reason"] for line in lines if line.get("peer") == "127.0.0.1"}
    assert told == set(reasons)
    return list(reasons)


async def counted(served: Opened, *reasons: str) -> None:
    """Waits until these failures have been counted, and no connection is left."""
    async with asyncio.timeout(10):
        while failures(served) != list(reasons) or served.listener.connections:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_that_is_not_accepted(
    stack: AsyncExitStack, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """Of a foreign authority, expired, not valid yet: the alert says so."""
    authority, foreign = Authority(tmp_path), trustme.CA()
    served = await opened(stack, 10.0, **authority.listen)
    now = datetime.now(UTC)
    shown = {
        "TLSV1_ALERT_UNKNOWN_CA": foreign.issue_cert("a.test"),
        "SSLV3_ALERT_CERTIFICATE_EXPIRED": authority.ca.issue_cert(
            "a.test", not_before=now - 2 * DAY, not_after=now - DAY
        ),
        "SSLV3_ALERT_BAD_CERTIFICATE": authority.ca.issue_cert(
            "a.test", not_before=now + DAY, not_after=now + 2 * DAY
        ),
    }
    for alert, certificate in shown.items():
        context = authority.client()
        context.minimum_version = context.maximum_version = version
        certificate.configure_cert(context)
        assert await asyncio.to_thread(outcome, served.address, context) == alert
    assert await asyncio.to_thread(outcome, served.address, authority.client()) == "HTTP/1.1 200"
    await counted(
        served, "certificate_unknown_ca", "certificate_expired", "certificate_not_yet_valid"
    )


@pytest.mark.filterwarnings("ignore:.*TLSVersion.TLSv1.* is deprecated:DeprecationWarning")
async def test_nothing_in_common(stack: AsyncExitStack, tmp_path: Path) -> None:
    """An old version, or no common cipher."""
    authority = Authority(tmp_path)
    served = await opened(stack, 10.0, **authority.listen)
    old = authority.client()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    assert await asyncio.to_thread(outcome, served.address, old) == "TLSV1_ALERT_PROTOCOL_VERSION"
    odd = authority.client()
    odd.maximum_version = ssl.TLSVersion.TLSv1_2
    odd.set_ciphers("AES128-SHA256")  # for RSA keys and without forward secrecy
    alert = await asyncio.to_thread(outcome, served.address, odd)
    assert alert == "SSLV3_ALERT_HANDSHAKE_FAILURE"
    await counted(served, "protocol_version", "no_shared_cipher")


async def test_a_caller_that_refuses_ours(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Its own alert is told to the operator."""
    served = await opened(stack, 10.0, **Authority(tmp_path).listen)
    stranger = ssl.create_default_context()
    assert await asyncio.to_thread(outcome, served.address, stranger) == "CERTIFICATE_VERIFY_FAILED"
    await counted(served, "alert_received")


@pytest.mark.parametrize("method", [b"GET", b"DELETE", b"OPTIONS", b"PRI", b"get"])
async def test_plain_http_to_the_tls_port(
    stack: AsyncExitStack, tmp_path: Path, method: bytes
) -> None:
    """A 400 that says what to do, readable also to one that goes on sending."""
    served = await opened(stack, 10.0, **Authority(tmp_path).listen)
    async with await Wire.connect(served.address) as wire:
        await wire.send(method + b" /x HTTP/1.1\r\nHost: gw\r\nContent-Length: 100000\r\n\r\n")
        reply = await wire.response()
        await wire.send(bytes(100_000))
    assert reply.status == 400
    assert b"This port speaks TLS: use https:// for it." in reply.body
    await counted(served, "http_request")


@pytest.mark.parametrize("first", [b"\x00" * 50, b"\x16\x03\x01\x00\x05hello", b"\x80\x2e\x01"])
async def test_garbage(stack: AsyncExitStack, tmp_path: Path, first: bytes) -> None:
    """Is counted, too."""
    served = await opened(stack, 1.0, **Authority(tmp_path).listen)
    async with await Wire.connect(served.address) as wire:
        await wire.send(first)
        assert (await wire.to_end())[:1] in {b"", b"\x15"}  # nothing, or an alert
    async with asyncio.timeout(10):
        while not failures(served):
            await asyncio.sleep(0.005)
    assert set(failures(served)) <= {"malformed", "timeout"}


async def test_one_that_stops_half_way(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone, or silent until its time is over; one that has said nothing is no failure."""
    served = await opened(stack, 0.5, **Authority(tmp_path).listen)
    hello = b"\x16\x03\x01\x02\x00\x01\x00"
    async with await Wire.connect(served.address) as wire:
        await wire.send(hello)
    await counted(served, "closed")
    async with await Wire.connect(served.address) as wire:
        await wire.send(hello)
        assert await wire.closed()
    await counted(served, "closed", "timeout")
    async with await Wire.connect(served.address):
        pass
    async with await Wire.connect(served.address) as wire:
        assert await wire.closed()
    await counted(served, "closed", "timeout")


async def test_a_caller_that_does_not_leave(
    stack: AsyncExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is given up soon after the alert; until then it has its place."""
    monkeypatch.setattr(handshake, "_LINGER", 0.3)
    served = await opened(stack, 10.0, **Authority(tmp_path).listen)
    async with await Wire.connect(served.address) as wire:
        await wire.send(b"GET /x HTTP/1.1\r\n\r\n")
        assert (await wire.response()).status == 400
        assert len(served.listener.connections) == 1
        await counted(served, "http_request")


async def test_tls_to_the_plain_port(stack: AsyncExitStack, tmp_path: Path) -> None:
    """Is told from other garbage: by the listener's name, to the caller and to the operator."""
    served = await opened(stack, 10.0)
    client = Authority(tmp_path).client()
    assert "WRONG_VERSION" in await asyncio.to_thread(outcome, served.address, client)
    async with await Wire.connect(served.address) as wire:
        await wire.send(b"\x16\x03\x01\x02\x00\x01\x00")
        reply = await wire.response()
    assert reply.status == 400
    assert b"This port speaks plain HTTP: use http:// for it." in reply.body
    async with asyncio.timeout(10):
        while len(failures(served)) < 2:
            await asyncio.sleep(0.005)
    assert failures(served) == ["tls_on_plain_port"] * 2


async def test_an_intermediate_may_vouch_for_callers(stack: AsyncExitStack, tmp_path: Path) -> None:
    """`client_ca` need not hold the root above it; another branch of that root is not let in."""
    root = trustme.CA()
    services, others = root.create_child_ca(), root.create_child_ca()
    authority = Authority(tmp_path)
    services.cert_pem.write_to_path(str(tmp_path / "services.pem"))
    listen = authority.listen | {"client_ca": str(tmp_path / "services.pem")}
    served = await opened(stack, 10.0, **listen)
    for issuer, told in ((services, "HTTP/1.1 200"), (others, "TLSV1_ALERT_UNKNOWN_CA")):
        context = authority.client()
        issuer.issue_cert("a.test").configure_cert(context)
        assert await asyncio.to_thread(outcome, served.address, context) == told
