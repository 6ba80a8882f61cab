"""What a tenant with a caller of its own costs, of which there may be very many."""

import asyncio
import gc
import os
import tracemalloc
from pathlib import Path
from typing import Any, Final

import httpx

from gateway.app import Gateway, open_gateway
from gateway.asgi import CONTENT_LENGTH, PEER, TARGET
from gateway.identity.tokens import hash_token
from gateway.model import Peer
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.settings.load import load
from gateway.upstream.breaker import Breaker
from gateway.upstream.forwarder import Forwarder
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender
from tests.support.httpx_exchange import AUTHORITY, HttpxExchange

FEW: Final = 50
MANY: Final = 450
IDLE: Final = 1280  # bytes for each, of which those that depend on the length of names are some 300
MET: Final = 1792  # the access log takes some of the 2 KiB, see below


def test_a_tenant_and_its_caller_take_two_kibibytes(tmp_path: Path) -> None:
    """So much of Python's memory, once each has sent a request, and no more after a reload.

    Before that, five eighths of it. Callers and tenants have different names here, each with an
    opaque token and a key in the vault file. Whatever is kept of them besides what requests and
    the status page need would show.
    """
    _measured(tmp_path, 10)  # caches and classes of libraries, which stay
    few, many = _measured(tmp_path, FEW), _measured(tmp_path, MANY)
    each = [(more - less) / (MANY - FEW) for less, more in zip(few, many, strict=True)]
    idle, met, reloaded = each
    assert IDLE / 2 < idle < IDLE, each
    assert MET / 2 < met < MET, each
    assert reloaded <= met, each


def _measured(folder: Path, count: int) -> tuple[int, int, int]:
    """What a gateway with so many holds in all: idle, after a request of each, after a reload."""
    _write(folder, count)
    gc.collect()
    tracemalloc.start()
    try:
        return asyncio.run(_held(folder, count))
    finally:
        tracemalloc.stop()


async def _held(folder: Path, count: int) -> tuple[int, int, int]:
    writer = LineWriter(os.open(os.devnull, os.O_WRONLY))
    loaded = load(folder / "gateway.toml", {})
    # Without access log: it keeps parts of 4,096 lines, however many tenants there are.
    gateway = await open_gateway(loaded, {}, Logger(writer, "error", "json"))
    del loaded
    idle = _traced()
    exchange = HttpxExchange(httpx.MockTransport(lambda _: httpx.Response(200, content=b"{}")))
    emit = gateway.events.emit
    retries = Retries(RetryRules(2, frozenset()), lambda: 0.0)
    forwarder = Forwarder(exchange, AUTHORITY, emit)
    gateway.services.sender = Sender(forwarder, retries, Breaker(0, 5.0), emit)
    for number in range(count):
        assert await _status(gateway, f"igw_token-of-{number:05}") == 200
    await asyncio.sleep(0)  # observers are called in the next turn
    met = _traced()
    await gateway.reloader.reload()
    gc.unfreeze()
    reloaded = _traced()
    await gateway.aclose()
    writer.close()
    return idle, met, reloaded


def _write(folder: Path, count: int) -> None:
    names = [f"{number:05}" for number in range(count)]
    (folder / "vault.toml").touch(mode=0o600)
    (folder / "vault.toml").write_text(
        "".join(f'[tenants.tenant-{n}]\nkey = {{ value = "key-of-tenant-{n}" }}\n' for n in names)
    )
    (folder / "gateway.toml").write_text(
        "".join(
            f'[callers.service-{n}]\ntokens = ["{hash_token(f"igw_token-of-{n}")}"]\n'
            f'tenants = ["tenant-{n}"]\n'
            for n in names
        )
    )


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def _status(gateway: Gateway, token: str) -> int:
    scope = {
        "type": "http",
        "method": "GET",
        "headers": [(b"host", b"gw"), (b"authorization", f"Bearer {token}".encode())],
        "extensions": {
            TARGET: b"/silo/v1/entries",
            PEER: Peer("10.0.0.7"),
            CONTENT_LENGTH: 0,
        },
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await gateway.callers(scope, receive, send)
    status: int = sent[0]["status"]
    return status
