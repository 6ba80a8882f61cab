"""`jwks_client`: key sets over real TLS, from servers that stall, redirect and lie."""

import gzip
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.identity import jwks_client
from gateway.identity.jwks_client import JwksClient, _origin
from gateway.identity.keys import KeySetError
from tests.support.certificates import Authority
from tests.support.jwks import STALL, JwksServer
from tests.support.jwt import Issuer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The issuer's own CA."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def server(authority: Authority, issuer: Issuer) -> AsyncIterator[JwksServer]:
    """A server that publishes the issuer's keys at `/jwks`."""
    made = JwksServer(authority)
    async with made.listening():
        made.put("/jwks", json.dumps(issuer.jwks()).encode())
        yield made


def client(
    server: JwksServer, path: str | None = "/jwks", bearer: Path | None = None
) -> JwksClient:
    """A client that trusts the server's CA alone; without `path` it discovers."""
    tls = ssl.create_default_context(cafile=server.ca_file)
    return JwksClient(server.url, None if path is None else server.url + path, tls, bearer)


async def reason(made: JwksClient) -> str:
    """Why a fetch fails."""
    with pytest.raises(KeySetError) as caught:
        await made.fetch()
    return str(caught.value)


AGES: dict[str, float | None] = {
    "max-age=60": 60,
    "public, max-age=21600, must-revalidate": 21600,
    "MAX-AGE=5": 5,
    "s-maxage=9": None,
    "max-age=x": None,
    "max-age=99999999999": None,
    "no-store": None,
}


@pytest.mark.parametrize("text", AGES)
async def test_fetched(server: JwksServer, issuer: Issuer, text: str) -> None:
    """The document as it is, and its `max-age`."""
    server.put("/jwks", b"{}", "200 OK", f"Cache-Control: {text}")
    assert await client(server).fetch() == (b"{}", AGES[text])
    assert server.requests[0].startswith("GET /jwks HTTP/1.1\r\n")
    assert "cookie" not in server.requests[0].lower()
    assert "authorization" not in server.requests[0].lower()


REPLIES = {
    "500": (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "status"),
    "404": (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "status"),
    "204": (b"HTTP/1.1 204 No\r\n\r\n", "status"),
    "redirect": (b"HTTP/1.1 302 Go\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n", "redirect"),
    "redirect to a file": (
        b"HTTP/1.1 301 Go\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "redirect",
    ),
    "no HTTP": (b"\x00\x01garbage\r\n\r\n", "unreachable"),
    "nothing": (b"", "unreachable"),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "unreachable"),
    "too large": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + b"x" * (2**20 + 1), "too_large",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
async def test_case_152_bad_replies(server: JwksServer, name: str) -> None:
    """Case 152: whatever comes instead of a key set is one reason, and no redirect is followed."""
    server.replies["/jwks"], expected = REPLIES[name]
    assert await reason(client(server)) == expected
    assert len(server.requests) == 1


async def test_compressed_is_not_inflated(server: JwksServer) -> None:
    """A compression bomb stays as small as it came: nothing is inflated."""
    server.put("/jwks", gzip.compress(b"x" * 2**24), "200 OK", "Content-Encoding: gzip")
    fetched = await client(server).fetch()
    assert len(fetched.text) < 2**16
    assert "accept-encoding: identity" in server.requests[0].lower()


async def test_largest_allowed(server: JwksServer) -> None:
    """Exactly 1 MiB passes."""
    server.put("/jwks", b"x" * 2**20)
    assert len((await client(server).fetch()).text) == 2**20


async def test_stall(server: JwksServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is given up on."""
    monkeypatch.setattr(jwks_client, "DEADLINE", 0.2)
    server.replies["/jwks"] = STALL
    assert await reason(client(server)) == "timeout"


async def test_foreign_certificate(server: JwksServer, tmp_path: Path) -> None:
    """Only the configured CA is trusted."""
    other = ssl.create_default_context(cafile=Authority(tmp_path).ca_file)
    found = await reason(JwksClient(server.url, server.url + "/jwks", other))
    assert found.startswith("unreachable (tls: localhost:"), found
    assert not server.requests


async def test_wrong_host(server: JwksServer) -> None:
    """The certificate must name the host."""
    url = server.url.replace("localhost", "127.0.0.1") + "/jwks"
    tls = ssl.create_default_context(cafile=server.ca_file)
    found = await reason(JwksClient(server.url, url, tls))
    assert found.startswith("unreachable (tls: 127.0.0.1:"), found


@pytest.mark.parametrize("url", ["http://localhost/jwks", "file:///etc/passwd", "", "https://["])
async def test_other_urls(server: JwksServer, url: str) -> None:
    """Plain HTTP, files and nonsense are never tried."""
    tls = ssl.create_default_context(cafile=server.ca_file)
    server.put(
        "/.well-known/openid-configuration",
        json.dumps({"issuer": server.url, "jwks_uri": url}).encode(),
    )
    expected = "unreachable" if url.startswith("https:") else "insecure_url"
    assert (await reason(JwksClient(server.url, None, tls))).partition(" ")[0] == expected


async def test_environment_is_ignored(
    server: JwksServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither proxies nor CA bundles nor netrc of the environment count."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / ".netrc").write_text("machine localhost login a password b")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    await client(server).fetch()
    assert "authorization" not in server.requests[0].lower()


async def test_bearer_file(server: JwksServer, tmp_path: Path) -> None:
    """The token is read anew for each fetch, because Kubernetes renews it."""
    file = tmp_path / "token"
    for token in ("first", "second"):
        file.write_text(token + "\n")
        await client(server, bearer=file).fetch()
        assert f"authorization: Bearer {token}\r\n" in server.requests[-1]


@pytest.mark.parametrize("text", [None, b"", b"\n", b"a\nb", b"\xff", "é".encode()])
async def test_bad_bearer_file(server: JwksServer, tmp_path: Path, text: bytes | None) -> None:
    """Without a usable token nothing is asked."""
    if text is not None:
        (tmp_path / "token").write_bytes(text)
    assert await reason(client(server, bearer=tmp_path / "token")) == "bearer_file"
    assert not server.requests


async def test_discovery(server: JwksServer, tmp_path: Path) -> None:
    """The discovery document names the key set, with the same token and the same trust."""
    (tmp_path / "token").write_text("t")
    document = {"issuer": server.url, "jwks_uri": server.url + "/jwks"}
    server.put("/.well-known/openid-configuration", json.dumps(document).encode())
    fetched = await client(server, None, tmp_path / "token").fetch()
    assert b"rsa-1" in fetched.text
    assert [request.split()[1] for request in server.requests] == [
        "/.well-known/openid-configuration",
        "/jwks",
    ]
    assert all("authorization: Bearer t\r\n" in request for request in server.requests)


async def test_the_token_goes_to_the_issuers_own_origin_alone(
    server: JwksServer, authority: Authority, issuer: Issuer, tmp_path: Path
) -> None:
    """A discovery document may name a key set anywhere; there the request bears no token."""
    (tmp_path / "token").write_text("t")
    other = JwksServer(authority)
    async with other.listening():
        other.put("/jwks", json.dumps(issuer.jwks()).encode())
        document = {"issuer": server.url, "jwks_uri": other.url + "/jwks"}
        server.put("/.well-known/openid-configuration", json.dumps(document).encode())
        fetched = await client(server, None, tmp_path / "token").fetch()
    assert b"rsa-1" in fetched.text
    assert "authorization: Bearer t\r\n" in server.requests[0]
    assert "authorization" not in other.requests[0].lower()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://id.internal", "https://ID.internal:443/jwks", True),
        ("https://id.internal", "https://id.internal./jwks", True),
        ("https://id.internal", "https://id.internal:8443/jwks", False),
        ("https://id.internal", "https://id.internal.evil/jwks", False),
        ("https://id.internal", "https://id.internal@evil/jwks", False),
        ("https://id.internal", "http://id.internal/jwks", False),
        ("https://id.internal", "https://[::1]/jwks", False),
    ],
)
def test_same_origin(one: str, other: str, same: bool) -> None:
    """Scheme, host and port are the same; case and the dot of the root do not count."""
    assert (_origin(one) == _origin(other)) is same


async def test_discovery_by_a_name_that_ends_with_a_slash(server: JwksServer) -> None:
    """OpenID Connect Discovery 4: a slash at the end of the issuer's name is not doubled."""
    issuer = server.url + "/"
    document = {"issuer": issuer, "jwks_uri": server.url + "/jwks"}
    server.put("/.well-known/openid-configuration", json.dumps(document).encode())
    tls = ssl.create_default_context(cafile=server.ca_file)
    assert b"rsa-1" in (await JwksClient(issuer, None, tls).fetch()).text


LIES = {
    "another issuer": (b'{"issuer":"https://evil","jwks_uri":"https://x"}', "discovery_mismatch"),
    "no issuer": (b'{"jwks_uri":"https://evil/jwks"}', "discovery_mismatch"),
    "no key set": (b'{"issuer":"%s"}', "discovery_mismatch"),
    "key set no text": (b'{"issuer":"%s","jwks_uri":1}', "discovery_mismatch"),
    "garbage": (b"<html>", "discovery_garbage"),
    "list": (b"[]", "discovery_garbage"),
    "two issuers": (b'{"issuer":"https://evil","issuer":"%s"}', "discovery_garbage"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
async def test_lying_discovery(server: JwksServer, name: str) -> None:
    """A document that is not the issuer's own leads nowhere."""
    text, expected = LIES[name]
    body = text.replace(b"%s", server.url.encode())
    server.put("/.well-known/openid-configuration", body)
    assert await reason(client(server, None)) == expected
    assert len(server.requests) == 1
