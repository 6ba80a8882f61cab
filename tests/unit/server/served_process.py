"""A process that serves two small apps until it is stopped: what the life-cycle tests act upon.

`python served_process.py SETTINGS`, JSON. Each event is a line on stdout; its own exit code counts.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.asgi import Receive, Scope, Send
from gateway.events import Event, ExchangeEnded, Noticed
from gateway.server.run import Service, run, run_to_end
from gateway.settings.schema import Settings


def tell(event: Event) -> None:
    """Prints what matters of an event."""
    if isinstance(event, Noticed):
        say({"event": event.name} | event.fields)
    elif isinstance(event, ExchangeEnded):
        say({"event": "exchange", "status": event.exchange.status})


def say(fields: dict[str, object]) -> None:
    """One line."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def callers(scope: Scope, receive: Receive, send: Send) -> None:
    """`/slow` takes a second and a half, `/forever` never ends, `/cold` starts slowly."""
    if scope["type"] == "lifespan":
        await starlette(scope, receive, send)
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1.5)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while scope["path"] == "/forever":
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0.01)
    except asyncio.CancelledError as reason:
        say({"event": "cancelled", "reason": str(reason)})
        raise
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def lifespan(app: Starlette):  # type: ignore[no-untyped-def]
    """Tells when it begins and ends; `--fail` and `--hang` stand for what may go wrong."""
    say({"event": "starting"})
    if "--fail" in sys.argv:
        raise LookupError("sk_live_SECRET")
    if "--hang" in sys.argv:
        await asyncio.Event().wait()
    yield
    say({"event": "ended"})


starlette = Starlette(lifespan=lifespan)
admin = Starlette(routes=[Route("/livez", lambda request: PlainTextResponse("alive"))])

if __name__ == "__main__":
    settings = Settings.model_validate(json.loads(sys.argv[1]))
    service = Service(callers, admin, tell, lambda: "id", lambda: say({"event": "draining"}))
    try:
        code = run_to_end(run(service, settings))
    except LookupError:
        code = 1
    say({"event": "exit", "code": code})
    sys.exit(code)
