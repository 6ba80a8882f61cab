"""Real TLS, its own CA, keys written for their owner only, a guest in the loop."""

import asyncio
import signal
import ssl
import stat
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from gateway.sandbox.certificates import CertificateAuthority
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import RunningSandbox, running


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_its_certificate_satisfies_strict_verification(
    invopop: RunningSandbox, trust: ssl.SSLContext, host: str
) -> None:
    """Both loopback names verify against its CA with OpenSSL's strict checks, at TLS 1.2 or up."""
    _, writer = await asyncio.open_connection(host, invopop.port, ssl=trust)
    assert writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
    writer.close()
    await writer.wait_closed()


async def test_nobody_else_vouches_for_it(invopop: RunningSandbox) -> None:
    """Without its CA, verification fails: also with another sandbox's."""
    for context in (
        ssl.create_default_context(),
        ssl.create_default_context(cadata=CertificateAuthority().pem.decode()),
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", invopop.port, ssl=context)


def test_it_is_good_for_loopback_only() -> None:
    """The certificate names localhost and the loopback addresses, nothing else."""
    issued = x509.load_pem_x509_certificate(CertificateAuthority().issue().certificate)
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == ["localhost", "127.0.0.1", "::1"]


async def test_plain_http_fails(invopop: RunningSandbox) -> None:
    """A request without TLS gets no answer at all."""
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{invopop.port}/utils/v1/ping")


async def test_samples_are_for_their_owner_only(invopop: RunningSandbox, tmp_path: Path) -> None:
    """`ca.pem`, keys, the application's secret: mode 0600, also over files that were there."""
    directory = tmp_path / "new"
    invopop.write_samples(directory)
    paths = invopop.write_samples(directory)
    assert sorted(paths) == ["acme.key", "application.json", "ca.pem", "globex.key"]
    for path in paths.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    context = ssl.create_default_context(cafile=str(paths["ca.pem"]))
    key = paths["globex.key"].read_text().strip()
    async with httpx.AsyncClient(base_url=invopop.url, verify=context) as client:
        reply = await client.get("/access/v1/workspace", headers={"Authorization": f"Bearer {key}"})
    assert reply.json()["slug"] == "globex"


async def test_it_is_a_quiet_guest(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It leaves signal handlers alone, prints nothing, and frees its port when the block ends."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with running(sandbox) as served:
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
        context = ssl.create_default_context(cadata=served.ca_pem.decode())
        async with httpx.AsyncClient(verify=context) as client:
            await client.get(served.url)
    async with running(sandbox, port=served.port) as again:
        assert again.port == served.port
    assert capfd.readouterr() == ("", "")
    assert "GET" not in caplog.text


async def test_it_stops_though_clients_stay(sandbox: Sandbox) -> None:
    """Neither a kept connection nor one that waits for a job holds up its end."""
    sandbox.job_seconds = 3600
    async with running(sandbox) as served:
        context = ssl.create_default_context(cadata=served.ca_pem.decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=context)
        body = b'{"workflow_id": "01890000-0000-7000-8000-000000000001", "args": {"a": "b"}}'
        writer.write(
            b"POST /transform/v1/jobs?wait=60 HTTP/1.1\r\nHost: localhost\r\n"
            b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s"
            % (sandbox.mint_key("acme").encode(), len(body), body)
        )
        async with asyncio.timeout(10):
            while not sandbox.workspaces["acme"].jobs:
                await asyncio.sleep(0)
    with pytest.raises((OSError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.transport.abort()


async def test_a_taken_port_is_said_so(sandbox: Sandbox, invopop: RunningSandbox) -> None:
    """Asked for a port in use, it raises OSError and leaves nothing behind."""
    with pytest.raises(OSError, match="in use"):
        async with running(sandbox, port=invopop.port):
            pass


async def test_a_client_that_leaves_is_no_defect(sandbox: Sandbox) -> None:
    """One that goes away within its request's body gets no reply, and causes no traceback."""
    sent: list[object] = []
    key = b"Bearer " + sandbox.mint_key("acme").encode()
    scope = {
        "type": "http", "method": "POST", "path": "/silo/v1/entries", "query_string": b"",
        "headers": [(b"authorization", key)], "http_version": "1.1", "root_path": "",
        "scheme": "https", "server": ("localhost", 443), "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def leave() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        sent.append(message)

    await sandbox.app(scope, leave, send)
    assert sent == []
