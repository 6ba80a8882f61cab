"""Files lie on another origin than the API, behind links that cannot be guessed, and may expire."""

import base64
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.sandbox import samples
from gateway.sandbox.sandbox import Sandbox
from gateway.sandbox.serve import FileHosts, RunningSandbox, running


@pytest.fixture
async def url(acme: httpx.AsyncClient) -> str:
    """The link of a stored file."""
    entry = (await acme.post("/silo/v1/entries", json={"data": samples.invoice()})).json()
    body = {"name": "a b.txt", "data": base64.b64encode(b"hi").decode()}
    made = (await acme.post(f"/silo/v1/entries/{entry['id']}/files", json=body)).json()
    return str(made["url"])


async def test_another_origin(nobody: httpx.AsyncClient, invopop: RunningSandbox, url: str) -> None:
    """A link works without a key; neither origin answers for the other."""
    assert urlsplit(url).netloc != urlsplit(invopop.url).netloc
    fetched = await nobody.get(url)
    assert (fetched.status_code, fetched.text) == (200, "hi")
    path = url.removeprefix(invopop.sandbox.files.downloads)
    assert (await nobody.get(path)).status_code == 401
    origin = invopop.sandbox.files.downloads
    for other in ("/", "/utils/v1/ping", "/silo/v1/entries"):
        assert (await nobody.get(origin + other)).status_code == 404
    assert (await nobody.delete(url)).status_code == 405


async def test_a_guess_opens_nothing(nobody: httpx.AsyncClient, url: str) -> None:
    """Whoever knows the entry, the name and the hash lacks the part that is random."""
    parts = url.split("/")
    assert len(parts[-2]) >= 22
    for guess in ("x", parts[-2][:-1], "upload"):
        assert (await nobody.get("/".join([*parts[:-2], guess, parts[-1]]))).status_code == 404


async def test_links_expire(
    nobody: httpx.AsyncClient, acme: httpx.AsyncClient, sandbox: Sandbox, url: str
) -> None:
    """Tests may say when; whoever looks at the entry again is given another link."""
    (link,) = sandbox.links.values()
    link.expires = 0.0
    assert (await nobody.get(url)).status_code == 404
    (entry,) = (await acme.get("/silo/v1/entries")).json()["list"]
    (file,) = entry["attachments"]
    assert file["url"] != url
    assert (await nobody.get(file["url"])).text == "hi"


async def test_hosts_have_names_of_their_own(sandbox: Sandbox) -> None:
    """As silo.invopop.com and storage.invopop.com have; the certificate holds for both."""
    hosts = FileHosts("silo.test", "storage.test")
    async with running(sandbox, files=hosts) as served:
        assert sandbox.files.downloads.startswith("https://silo.test:")
        assert sandbox.files.uploads.startswith("https://storage.test:")
        port = int(sandbox.files.uploads.rpartition(":")[2])
        assert port != served.port
        for name in hosts[:2]:
            context = httpx.create_ssl_context(verify=False)
            context.load_verify_locations(cadata=served.ca_pem.decode())
            context.check_hostname = True
            context.verify_mode = 2  # type: ignore[assignment]
            async with httpx.AsyncClient(verify=context) as client:
                reply = await client.get(
                    f"https://127.0.0.1:{port}/",
                    headers={"Host": name},
                    extensions={"sni_hostname": name},
                )
            assert reply.status_code == 404
