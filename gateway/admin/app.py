"""The admin ASGI application: metrics, probes, the status page. Reads only; changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.admin.access import refusal
from gateway.admin.health import Health
from gateway.admin.overview import Overview
from gateway.admin.page import CLOSED, HEADERS, Page

Exposition = Callable[[str], tuple[bytes, str]]
Endpoint = Callable[[Request], Awaitable[Response]]


def admin_app(health: Health, exposition: Exposition, overview: Overview) -> Starlette:
    """Builds the application around the process's health, its metrics and its status."""
    page = Page()

    async def metrics(request: Request) -> Response:
        # A scrape of many series takes long enough to be felt: it does not run on the event loop.
        accept = request.headers.get("accept", "")
        body, content_type = await asyncio.to_thread(exposition, accept)
        return Response(body, headers={"content-type": content_type})

    async def live(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        status, report = health.report()
        return JSONResponse(report, status)

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
    """The endpoint, for those who may see the status; for others 403 and the reason."""

    async def guard(request: Request) -> Response:
        peer = request.client.host if request.client else ""
        why = refusal(peer, request.headers.get("host", ""), overview.networks)
        if why:
            return PlainTextResponse(f"{why}\n", 403, headers=HEADERS)
        return await endpoint(request)

    return guard
