"""The admin ASGI application: `/metrics`, `/livez`, `/readyz`. Reads only; changes nothing."""

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from gateway.admin.health import Health

Exposition = Callable[[str], tuple[bytes, str]]


def admin_app(health: Health, exposition: Exposition) -> Starlette:
    """Builds the application around the process's health and its metrics."""

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

    return Starlette(
        routes=[
            Route("/metrics", metrics, methods=["GET"]),
            Route("/livez", live, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
        ]
    )
