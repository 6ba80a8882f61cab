"""The gateway within one process, with memory where the sockets are: for counting instructions.

`pipeline` requests go to the ASGI app, `whole` ones as bytes to the listener's protocol; both
leave by the real transport, whose connection answers from memory. The head of a `varying` request
differs from the one before it, as those of real clients do.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Final, cast

from gateway.app import Gateway, open_gateway
from gateway.asgi import CONTENT_LENGTH, PEER, TARGET
from gateway.identity.tokens import hash_token
from gateway.model import Peer
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.server.listener import READ_BLOCK, ConnectionLimits, Listener
from gateway.server.protocol import HttpProtocol
from gateway.settings.load import load
from gateway.upstream import transport
from gateway.upstream.connection import ConnectionWire
from gateway.upstream.wire import WireReader
from tests.bench.environment import ISSUER, KEY, TOKEN
from tests.support.certificates import Authority
from tests.support.jwt import Issuer

Drive = Callable[[int], Awaitable[None]]

URL: Final = "https://upstream.bench"
_VARIANTS: Final = 251  # requests that differ, sent again and again
_PATHS: Final = (
    "/silo/v1/entries?limit=20",
    "/silo/v1/entries/0193c5a1-0000-7000-8000-000000000001",
    "/transform/v1/jobs?limit=5",
    "/transform/v1/workflows",
    "/access/v1/workspace",
)
_BODY: Final = b'{"list":[],"limit":20}' * 8
_REPLY_HEADERS: Final = (
    (b"Date", b"Sun, 22 Nov 2026 12:00:00 GMT"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"%d" % len(_BODY)),
    (b"Connection", b"keep-alive"),
    (b"X-Request-Id", b"0193 of upstream"),
)
_REPLY: Final = b"".join(
    (
        b"HTTP/1.1 200 OK\r\n",
        *(b"%b: %b\r\n" % field for field in _REPLY_HEADERS),
        b"\r\n",
        _BODY,
    )
)


class _MemoryWire:
    """Stands where TLS over TCP does: each write is a request, answered in the next turn."""

    congested = False

    def __init__(self) -> None:
        self._reader: WireReader | None = None
        self._loop = asyncio.get_running_loop()

    def attach(self, reader: WireReader) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self._loop.call_soon(cast("WireReader", self._reader).on_data, _REPLY)

    async def drain(self) -> None:
        """Never congested."""

    def not_taken(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""

    abort = pause_reading = resume_reading = close


async def _dial_memory(*_: object) -> ConnectionWire:
    return _MemoryWire()


class _Caller(asyncio.Transport):
    """A caller's socket: sends the next request as soon as it has a reply."""

    def __init__(self, requests: Sequence[bytes]) -> None:
        super().__init__()
        self._requests = cycle([_blocks(request) for request in requests])
        self._left = 0
        self._loop = asyncio.get_running_loop()
        self._done = self._loop.create_future()
        self._protocol: HttpProtocol | None = None

    def connect(self, protocol: HttpProtocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    async def send(self, count: int) -> None:
        self._left = count
        self._done = self._loop.create_future()
        self._next()
        await self._done

    def _next(self) -> None:
        for block in next(self._requests):
            cast("HttpProtocol", self._protocol).data_received(block)

    def write(self, data: Any) -> None:
        if not bytes(data[:12]) == b"HTTP/1.1 200":
            raise RuntimeError(f"the gateway answered {data!r}")
        self._left -= 1
        if self._left:
            self._loop.call_soon(self._next)
        else:
            self._done.set_result(None)

    def pause_reading(self) -> None:
        """All that it sends has arrived by then."""

    def resume_reading(self) -> None:
        """There is nothing more of this request."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 50000) if name in {"peername", "sockname"} else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever held back."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is open."""

    abort = close


class Inside:
    """A gateway that serves one tenant to two callers: by an opaque token, and by a JWT.

    Unless it is `told`, nobody hears of what happens: no metrics, no log line.
    """

    def __init__(self, folder: Path, *, told: bool = True) -> None:
        self._folder = folder
        self._told = told
        issuer = Issuer(folder, ISSUER)
        Authority(folder)
        self._jwt = issuer.token(issuer.claims("jwt-caller", tenant="acme"))
        (folder / "vault.toml").touch(mode=0o600)
        (folder / "vault.toml").write_text(f'[tenants.acme]\nkey = {{ value = "{KEY}" }}\n')
        (folder / "gateway.toml").write_text(
            f'[upstream]\nurl = "{URL}"\nca_file = "ca.pem"\n'
            f'[[issuers]]\nissuer = "{ISSUER}"\naudience = "invopop-gateway"\n'
            'algorithms = ["RS256"]\njwks_file = "jwks.json"\ntenant_claim = "tenant"\n'
            '[callers.jwt-caller]\ntenants = ["acme"]\n'
            f'[callers.token-caller]\ntokens = ["{hash_token(TOKEN)}"]\ntenants = ["acme"]\n'
        )

    async def drives(self) -> dict[str, Drive]:
        """What can be measured, by name: each serves so many requests, one after the other."""
        return {
            "pipeline, token": await self._pipeline(TOKEN),
            "pipeline, JWT": await self._pipeline(self._jwt),
            "whole GET, JWT": await self._whole([_request("GET", self._jwt, b"")]),
            "varying GET, JWT": await self._whole(_varying(self._jwt)),
            "whole POST 1 KiB, JWT": await self._whole([_request("POST", self._jwt, bytes(1024))]),
            "whole POST 64 KiB, JWT": await self._whole(
                [_request("POST", self._jwt, bytes(64 * 1024))]
            ),
        }

    async def _gateway(self) -> Gateway:
        loaded = load(self._folder / "gateway.toml", {})
        writer = LineWriter(os.open(os.devnull, os.O_WRONLY))
        vars(transport)["dial"] = _dial_memory
        gateway = await open_gateway(loaded, {}, Logger(writer, "info", "json"))
        if not self._told:
            gateway.events._subscribers.clear()
        return gateway

    async def _pipeline(self, token: str) -> Drive:
        gateway = await self._gateway()
        pipeline = gateway.callers

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message.get("status", 200) != 200:
                raise RuntimeError(f"the pipeline answered {message}")

        async def drive(count: int) -> None:
            for _ in range(count):
                await pipeline(_scope(token), receive, send)

        return drive

    async def _whole(self, requests: Sequence[bytes]) -> Drive:
        gateway = await self._gateway()
        limits = ConnectionLimits(header_timeout=3600.0)  # a caller waits while others are measured
        listener = Listener(gateway.callers, limits, gateway.new_request_id, gateway.events.emit)
        caller = _Caller(requests)
        caller.connect(HttpProtocol(listener))
        return caller.send


def _headers(token: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"host", b"gateway.internal:8585"),
        (b"authorization", b"Bearer " + token.encode()),
        (b"accept", b"application/json"),
        (b"user-agent", b"bench/1.0"),
    ]


def _blocks(request: bytes) -> list[bytes]:
    """A request as the server would read it."""
    return [request[at : at + READ_BLOCK] for at in range(0, len(request), READ_BLOCK)]


def _varying(token: str) -> list[bytes]:
    return [
        _request(
            "GET",
            token,
            b"",
            _PATHS[n % len(_PATHS)],
            (
                (b"x-request-id", b"0193c5a1-7b2e-7000-8000-%012x" % n),
                (b"traceparent", b"00-4bf92f3577b34da6a3ce929d%08x-00f067aa%08x-00" % (n, n + 1)),
            ),
        )
        for n in range(1, _VARIANTS + 1)
    ]


def _request(
    method: str,
    token: str,
    body: bytes,
    path: str = _PATHS[0],
    more: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1".encode()]
    lines += [b"%b: %b" % field for field in (*_headers(token), *more)]
    if body:
        lines += [b"content-type: application/json", b"content-length: %d" % len(body)]
    return b"\r\n".join((*lines, b"", b"")) + body


def _scope(token: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/silo/v1/entries",
        "raw_path": b"/silo/v1/entries",
        "query_string": b"limit=20",
        "root_path": "",
        "headers": _headers(token),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8585),
        "extensions": {
            TARGET: b"/silo/v1/entries?limit=20",
            PEER: Peer("127.0.0.1"),
            CONTENT_LENGTH: 0,
        },
    }
