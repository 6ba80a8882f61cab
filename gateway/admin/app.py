"""The admin ASGI application: metrics, probes, the status page. Reads only; changes nothing.

No path answers a browser that was led here by a page elsewhere.
The status is for peers on this machine or in `admin.status_networks`, and only under an address or
`localhost`: a name in `Host` may be an attacker's, pointed at this machine after the operator's
browser had loaded the attacker's page (DNS rebinding).
"""

import asyncio
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any, Final

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admin.health import Health
from gateway.admin.scrape import Exposition, Rendered, Scrapes, TooManyBodiesError
from gateway.admin.sources import StatusSources

# Sent with every answer.
HEADERS: Final = {
    "cache-control": "no-store",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
NOT_YOUR_NETWORK: Final = (
    "The status page is shown to this machine and to the networks in admin.status_networks."
)
NOT_FOR_PAGES: Final = (
    "Web pages elsewhere may not read this. Open it by an IP address or as localhost yourself."
)
SLOW_SCRAPERS: Final = (
    "Too many scrapers read their replies slowly. Scrape less often, or from fewer places."
)
NOT_BY_NAME: Final = "Open the status page by an IP address or as localhost, not by another name."

# `host[:port]` (RFC 9110 7.2); what the parts may be is looked at one by one.
_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(?::[0-9]*)?")

# What scrapers and probes do not send. A page at a rebound name has our origin, so that it may set
# User-Agent; and over plain HTTP browsers send no Sec-Fetch-*. But they add these, if not all.
_BROWSER_FIELDS: Final = frozenset({"accept-language", "cookie", "dnt", "origin", "referer"})
_BROWSER: Final = re.compile(r"\s*(?:mozilla|opera)/", re.IGNORECASE)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Endpoint = Callable[[Request], Awaitable[Response]]


def admin_app(health: Health, exposition: Exposition, sources: StatusSources) -> Starlette:
    """Builds the application around the process's health, its metrics and its status."""
    scrapes = Scrapes(exposition)
    status = _Status(sources)

    async def metrics(request: Request) -> Response:
        try:
            return _Exposed(await scrapes.scrape(request.headers.get("accept", "")))
        except TooManyBodiesError:
            return PlainTextResponse(f"{SLOW_SCRAPERS}\n", 503, {"retry-after": "5"})

    async def live(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        readiness = health.readiness()
        return JSONResponse(readiness.as_json(), readiness.status)

    async def status_page(_: Request) -> Response:
        reply: Response = await (await status.replies()).page()
        return reply

    async def status_json(_: Request) -> Response:
        reply: Response = await (await status.replies()).as_json()
        return reply

    endpoints = {
        "/metrics": metrics,
        "/livez": live,
        "/readyz": ready,
        "/status": _guarded(sources, status_json),
    }
    routes = [Route("/", _guarded(sources, status_page), methods=["GET"])]
    for path, endpoint in endpoints.items():
        routes += [Route(path, endpoint, methods=["GET"]), Route(f"{path}/", endpoint)]
    app = Starlette(routes=routes, middleware=[Middleware(NoPagesElsewhere)])
    app.router.redirect_slashes = False  # a redirect would go to whatever Host the caller sent
    return app


class _Status:
    """Imports and makes `StatusReplies` when they are first asked for, while requests go on."""

    def __init__(self, sources: StatusSources) -> None:
        self._sources = sources
        self._making = asyncio.Lock()
        self._replies: Any = None

    async def replies(self) -> Any:
        async with self._making:
            if self._replies is None:
                module = await asyncio.to_thread(import_module, "gateway.admin.status")
                self._replies = await asyncio.to_thread(module.StatusReplies, self._sources)
            return self._replies


class _Exposed(Response):
    """A scrape's body, which counts as being read until it is sent."""

    def __init__(self, rendered: Rendered) -> None:
        super().__init__(rendered.body, headers={"content-type": rendered.content_type})
        self._rendered = rendered


class NoPagesElsewhere:
    """Refuses what a web page elsewhere sent, on every path; sets the headers of all replies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: 403 with the reason, or the application's answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        app = self._app
        if scope["type"] == "http" and is_from_page_elsewhere(Headers(scope=scope)):
            app = PlainTextResponse(f"{NOT_FOR_PAGES}\n", 403)
        await app(scope, receive, send_with_headers)


def is_from_page_elsewhere(headers: Headers) -> bool:
    """Whether a browser sent this for a page that is not ours (Fetch Metadata; RFC 6454 7).

    Under a name in `Host` no browser is answered: the name may be a stranger's (DNS rebinding).
    Under an address or `localhost` its user may open a path or follow a link to it, and our own
    page may ask for more.
    """
    host = headers.get("host", "")
    fetch = {name: headers.getlist(f"sec-fetch-{name}") for name in ("site", "mode", "dest")}
    origins = headers.getlist("origin")
    if not _is_no_name(host):
        marked = any(name in _BROWSER_FIELDS or name.startswith("sec-") for name in headers)
        return marked or any(map(_BROWSER.match, headers.getlist("user-agent")))
    if any(origin not in {f"http://{host}", f"https://{host}"} for origin in origins):
        return True
    opened = fetch["mode"] == ["navigate"] and fetch["dest"] == ["document"]
    return not opened and not set(fetch["site"]) <= {"none", "same-origin"}


def _guarded(sources: StatusSources, endpoint: Endpoint) -> Endpoint:
    """The endpoint for those who may see the status; 403 and the reason for others."""

    async def guard(request: Request) -> Response:
        peer = request.client.host if request.client else ""
        why = refusal(peer, request.headers.get("host", ""), sources.networks)
        if why:
            return PlainTextResponse(f"{why}\n", 403)
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
