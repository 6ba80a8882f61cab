"""The admin ASGI application: metrics, probes, the status page. Reads only; changes nothing.

The status is for peers on this machine or in `admin.status_networks`, and only under an address or
`localhost`: a name in `Host` may be an attacker's, pointed at this machine after the operator's
browser had loaded the attacker's page (DNS rebinding).
"""

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.admin.health import Health
from gateway.admin.overview import Overview
from gateway.admin.page import CLOSED, HEADERS, Page

NOT_YOUR_NETWORK: Final = (
    "The status page is shown to this machine and to the networks in admin.status_networks."
)
NOT_BY_NAME: Final = "Open the status page by an IP address or as localhost, not by another name."

# `host[:port]` (RFC 9110 7.2); what the parts may be is looked at one by one.
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(?::[0-9]*)?")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Exposition = Callable[[str], tuple[bytes, str]]
Endpoint = Callable[[Request], Awaitable[Response]]


def admin_app(health: Health, exposition: Exposition, overview: Overview) -> Starlette:
    """Builds the application around the process's health, its metrics and its status."""
    page = Page()

    async def metrics(request: Request) -> Response:
        # A scrape of many series takes long: it does not run on the event loop.
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(exposition, accept)
        return Response(body, headers={"content-type": content_type})

    async def live(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        readiness = health.readiness()
        return JSONResponse(readiness.as_json(), readiness.status)

    async def status_page(_: Request) -> Response:
        status = await overview.status()
        html = await asyncio.to_thread(page.render, status)
        headers = HEADERS | {"content-security-policy": page.policy}
        return HTMLResponse(html, headers=headers)

    async def status_json(_: Request) -> Response:
        body = orjson.dumps(await overview.status())
        headers = HEADERS | {"content-security-policy": CLOSED}
        return Response(body, media_type="application/json", headers=headers)

    return Starlette(
        routes=[
            Route("/metrics", metrics, methods=["GET"]),
            Route("/livez", live, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
            Route("/status", _guarded(overview, status_json), methods=["GET"]),
            Route("/", _guarded(overview, status_page), methods=["GET"]),
        ]
    )


def _guarded(overview: Overview, endpoint: Endpoint) -> Endpoint:
    """The endpoint for those who may see the status; 403 and the reason for others."""

    async def guard(request: Request) -> Response:
        peer = request.client.host if request.client else ""
        why = refusal(peer, request.headers.get("host", ""), overview.networks)
        if why:
            return PlainTextResponse(f"{why}\n", 403, headers=HEADERS)
        return await endpoint(request)

    return guard


def refusal(peer: str, host: str, networks: Iterable[str]) -> str:
    """Why a peer's request with that `Host` may not see the status; "" if it may."""
    if not _is_near(peer, networks):
        return NOT_YOUR_NETWORK
    return "" if _is_no_name(host) else NOT_BY_NAME


def _is_near(peer: str, networks: Iterable[str]) -> bool:
    try:
        address: Address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped  # what a dual-stack socket shows (RFC 4291 2.5.5.2)
    return address.is_loopback or any(
        address in ipaddress.ip_network(network) for network in networks
    )


def _is_no_name(host: str) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    if match["v6"] is not None:
        return _parses(ipaddress.IPv6Address, match["v6"])
    return match["name"].lower() == "localhost" or _parses(ipaddress.IPv4Address, match["name"])


def _parses(kind: type[Address], text: str) -> bool:
    try:
        kind(text)
    except ValueError:
        return False
    return True
