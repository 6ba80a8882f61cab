"""A web page that borrows an address: cross-site requests and DNS rebinding.

The attacker owns a web site and waits for a visit from a machine whose address is its identity: a
developer's laptop with the gateway as sidecar. The page sends requests to 127.0.0.1; or its name is
made to resolve to 127.0.0.1 after it has loaded, so that to the browser the gateway is the page's
own server, and the page may read the answers.

Services that trust loopback fall (Transmission, CVE-2018-5702; Ollama, CVE-2024-28224), also those
that look at `Origin` alone: for a GET of its own origin over plain HTTP a browser sends neither
`Origin` nor `Sec-Fetch-Site`. The gateway refuses an identity by address with either field, and
with a `Host` that a stranger could own. A token is what a page cannot borrow: with one it is
served.
"""

import pytest

from tests.support.world import TOK_B, World, request

# As Chromium 156 sent them, from a page of http://evil.example:8585 that resolved to 127.0.0.1.
REBOUND = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0",
    "Accept: */*",
    "Referer: http://evil.example:8585/page",
    "Accept-Encoding: gzip, deflate",
    "Accept-Language: en-US,en;q=0.9",
)


@pytest.mark.parametrize(
    "line",
    ["Origin: https://evil", "Origin: null", "Origin:", "Sec-Fetch-Site: cross-site",
     "Sec-Fetch-Site: none"],
)  # fmt: skip
def test_a_page_of_another_site(sidecar: World, line: str) -> None:
    """A page in a browser on this machine may not use what only the address grants."""
    reply = sidecar.get("/x", line, token=None)
    assert (reply.status, reply.get("x-gateway-error")) == (403, "browser_refused")
    assert not sidecar.origin.requests
    assert sidecar.get("/x", line, token=TOK_B).status == 200


@pytest.mark.parametrize("fields", [REBOUND, ()], ids=["as sent", "with nothing of a browser"])
@pytest.mark.parametrize("host", ["evil.example:8585", "127.0.0.1.evil.example", "evil.example."])
def test_a_page_whose_name_was_rebound(sidecar: World, host: str, fields: tuple[str, ...]) -> None:
    """Its own name in `Host` gives it away, whatever else a browser sends or leaves out."""
    raw = request("GET /silo/v1/entries", *fields, host=host, token=None)
    reply = sidecar.exchange(raw)
    assert (reply.status, reply.get("x-gateway-error")) == (403, "browser_refused")
    assert not sidecar.origin.requests


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8585", "localhost:8585", "gateway", "gateway.invoicing.svc.cluster.local",
     "gw.corp.example:8585"],
)  # fmt: skip
def test_services_are_served(sidecar: World, host: str) -> None:
    """By names that no stranger can own, as a sidecar's service does, and by listed ones."""
    sidecar.passed(request("GET /x", host=host, token=None))
