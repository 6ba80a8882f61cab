"""The admin application for peers elsewhere: what sockets of one machine cannot show."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from gateway.app import Gateway
from gateway.cli.configuration import wired
from gateway.settings.load import load

NEAR, FAR, ELSEWHERE = "127.0.0.1", "10.1.2.3", "192.168.7.7"


def written(directory: Path, networks: str) -> Path:
    """A configuration with these `status_networks`."""
    (directory / "vault.toml").write_text("[tenants]\n")
    config = directory / "gateway.toml"
    config.write_text(f"[admin]\nstatus_networks = [{networks}]\n")
    return config


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway that shows its status to 10.1.0.0/16, without its listeners."""
    async with wired(load(written(tmp_path, '"10.1.0.0/16"'), {})) as made:
        yield made


async def asked(
    gateway: Gateway,
    peer: str,
    path: str,
    host: str = "10.0.0.1",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """A GET as if from that peer."""
    transport = httpx.ASGITransport(app=gateway.admin, client=(peer, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize("path", ["/", "/status"])
async def test_the_status_is_for_near_peers(gateway: Gateway, path: str) -> None:
    """This machine and the configured networks; others are told why not, and nothing else."""
    assert (await asked(gateway, NEAR, path)).status_code == 200
    assert (await asked(gateway, FAR, path)).status_code == 200
    refused = await asked(gateway, ELSEWHERE, path)
    assert refused.status_code == 403
    assert "admin.status_networks" in refused.text
    assert (await asked(gateway, FAR, path, host="gateway.example")).status_code == 403


async def test_forwarding_headers_make_nobody_near(gateway: Gateway) -> None:
    """Who a proxy says that it speaks for is not believed."""
    transport = httpx.ASGITransport(app=gateway.admin, client=(ELSEWHERE, 50_000))
    said = {"x-forwarded-for": NEAR, "forwarded": f"for={NEAR}", "x-real-ip": NEAR,
            "x-forwarded-host": "localhost"}  # fmt: skip
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/status", headers=said)).status_code == 403


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz"])
async def test_probes_and_metrics_are_for_everyone(gateway: Gateway, path: str) -> None:
    """Who may reach the port may scrape it."""
    assert (await asked(gateway, ELSEWHERE, path, "gateway.example")).status_code in {200, 503}


PATHS = ["/metrics", "/livez", "/readyz", "/status", "/", "/nothing-here"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("host", "sent"),
    [
        ("metrics.example", {"origin": "http://metrics.example"}),
        ("metrics.example", {"sec-fetch-site": "same-origin"}),
        ("metrics.example", {"sec-fetch-mode": "no-cors"}),
        ("metrics.example", {"user-agent": "Mozilla/5.0"}),
        ("metrics.example", {"user-agent": "mozilla/5.0"}),
        ("metrics.example", {"user-agent": "Opera/9.80"}),
        ("metrics.example", {"user-agent": "page/1", "accept-language": "en"}),
        ("metrics.example", {"user-agent": "page/1", "referer": "http://metrics.example/"}),
        ("metrics.example", {"user-agent": "page/1", "cookie": "a=b"}),
        ("metrics.example", {"user-agent": "page/1", "sec-ch-ua": '"Chromium"'}),
        ("127.0.0.1:9585", {"origin": "http://evil.example"}),
        ("127.0.0.1:9585", {"origin": "null"}),
        ("127.0.0.1:9585", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}),
        ("localhost:9585", {"sec-fetch-site": "same-site", "sec-fetch-dest": "script"}),
    ],
)
async def test_pages_elsewhere_read_nothing(
    gateway: Gateway, path: str, host: str, sent: dict[str, str]
) -> None:
    """Not even that a path is not there; a rebound name has all of a page's own origin."""
    refused = await asked(gateway, NEAR, path, host, sent)
    assert (refused.status_code, "Web pages elsewhere" in refused.text) == (403, True)


@pytest.mark.parametrize("path", PATHS[:-1])
@pytest.mark.parametrize(
    "sent",
    [
        {"user-agent": "Mozilla/5.0", "sec-fetch-site": "none", "sec-fetch-mode": "navigate"},
        {
            "sec-fetch-site": "cross-site",
            "sec-fetch-mode": "navigate",
            "sec-fetch-dest": "document",
        },
        {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"},
        {"origin": "http://127.0.0.1:9585"},
    ],
)
async def test_an_operators_own_browser_reads_all(
    gateway: Gateway, path: str, sent: dict[str, str]
) -> None:
    """By address: opened, followed from a link, or asked for by our own page."""
    reply = await asked(gateway, NEAR, path, "127.0.0.1:9585", sent)
    assert reply.status_code in {200, 503}
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize("path", ["/metrics/", "/livez/", "/readyz/", "/status/"])
async def test_a_final_slash_redirects_nobody(gateway: Gateway, path: str) -> None:
    """A redirect would name the `Host` that a stranger sent."""
    reply = await asked(gateway, NEAR, path)
    assert reply.status_code in {200, 503}
    assert "location" not in reply.headers


async def test_an_empty_gateway_says_what_is_missing(gateway: Gateway) -> None:
    """No tenant and no caller: both are told as concerns, and counted as none."""
    told = json.loads((await asked(gateway, NEAR, "/status")).content)
    assert (told["tenants"]["total"], told["callers"]["total"]) == (0, 0)
    words = " ".join(concern["what"] for concern in told["concerns"])
    assert "There is no tenant." in words
    assert "No caller is configured." in words
