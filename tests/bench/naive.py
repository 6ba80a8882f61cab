"""The naive way, as most people write such a gateway: Starlette, httpx.AsyncClient, streaming."""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator

import httpx
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

_HOP_BY_HOP = {"host", "authorization", "connection", "content-length", "transfer-encoding"}


async def forward(request: Request) -> StreamingResponse:
    """Sends the request on with the key and streams the reply back."""
    client: httpx.AsyncClient = request.app.state.client
    headers = [(k, v) for k, v in request.headers.items() if k not in _HOP_BY_HOP]
    headers.append(("authorization", f"Bearer {os.environ['BENCH_KEY']}"))
    outbound = client.build_request(
        request.method,
        request.url.path,
        params=request.url.query.encode(),
        headers=headers,
        content=request.stream() if request.method == "POST" else None,
    )
    reply = await client.send(outbound, stream=True)
    return StreamingResponse(
        reply.aiter_raw(),
        status_code=reply.status_code,
        headers={k: v for k, v in reply.headers.items() if k not in {"date", "connection"}},
        background=BackgroundTask(reply.aclose),
    )


@contextlib.asynccontextmanager
async def _lifespan(application: Starlette) -> AsyncIterator[None]:
    context = ssl.create_default_context(cafile=os.environ["BENCH_CA_FILE"])
    limits = httpx.Limits(max_connections=512, max_keepalive_connections=512)
    base = os.environ["BENCH_UPSTREAM"]
    async with httpx.AsyncClient(base_url=base, verify=context, limits=limits) as client:
        application.state.client = client
        yield


app = Starlette(
    routes=[Route("/{path:path}", forward, methods=["GET", "POST"])], lifespan=_lifespan
)
