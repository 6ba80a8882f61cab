"""The way of one request, with every room real but the wire: what goes out, and what comes back.

Streaming over sockets, leaving callers and drain are shown by the integration tests.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway
from gateway.errors import UpstreamError
from gateway.events import ExchangeEnded
from gateway.identity.authenticator import KeyNeeded
from gateway.identity.keys import FixedKeys, KeySet
from gateway.model import CALLER_LEFT, CALLER_STALLED, DRAIN_CUT, Caller, Exchange, Peer
from gateway.observe.logs import Logger
from gateway.observe.writer import LineWriter
from gateway.pipeline import Pipeline
from gateway.settings.load import load
from gateway.upstream.breaker import Breaker
from gateway.upstream.forwarder import Forwarder, Timeouts
from gateway.upstream.retry import Retries, RetryRules
from gateway.upstream.sender import Sender

TOKEN = "igw_billing"
KEYS = {"ACME_KEY": "key-acme-1", "ACME_OLD": "key-acme-0", "GLOBEX_KEY": "key-globex"}
Answer = Callable[[httpx.Request], httpx.Response]


class Wire(httpx.AsyncBaseTransport):
    """The lowest seam: remembers what would have been sent, with its body."""

    def __init__(self) -> None:
        self.sent: list[tuple[httpx.Request, bytes]] = []
        self.answer: Answer = lambda _: httpx.Response(200, json={"ping": "pong"})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        stream = request.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in stream])
        self.sent.append((request, body or getattr(stream, "ready", None) or b""))
        return self.answer(request)

    def keys(self) -> list[str]:
        return [request.headers["authorization"] for request, _ in self.sent]


class World:
    """A pipeline over the configuration below, and what it told."""

    def __init__(self, gateway: Gateway, wire: Wire) -> None:
        self.gateway, self.wire = gateway, wire
        self.exchanges: list[Exchange] = []
        gateway.events.subscribe(ExchangeEnded, lambda e: self.exchanges.append(e.exchange))
        emit = gateway.events.emit
        forwarder = Forwarder(wire, "https://api.invopop.com", Timeouts(), emit)
        retries = Retries(RetryRules(2, frozenset({"GET", "PUT"})), lambda: 0.0)
        gateway.rooms.sender = Sender(forwarder, retries, Breaker(0.5, 5.0), emit)
        self.pipeline = Pipeline(gateway.rooms, gateway.new_request_id, gateway.events.emit)

    async def call(
        self,
        method: str = "GET",
        target: str = "/utils/v1/ping",
        *,
        token: str = TOKEN,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> tuple[int, dict[str, str], bytes]:
        fields = {"authorization": f"Bearer {token}"} if token else {}
        fields |= headers or {}
        if body:
            fields["content-length"] = str(len(body))
        scope = {
            "type": "http",
            "method": method,
            "headers": [(k.lower().encode(), v.encode()) for k, v in fields.items()],
            "extensions": {
                "invopop_gateway.target": target.encode(),
                "invopop_gateway.peer": Peer("10.0.0.7"),
            },
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.pipeline(scope, receive, send)
        start, *parts = sent
        answer = {k.decode(): v.decode() for k, v in start["headers"]}
        return start["status"], answer, b"".join(p["body"] for p in parts)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    (tmp_path / "gateway.toml").write_text(
        f"""
        [limits]
        max_body = 100
        max_in_flight = 2
        [callers.billing]
        tokens = ["sha256:{digest}"]
        tenants = ["acme", "globex", "ghost"]
        deny = ["access.workspace.update"]
        [callers.sidecar]
        networks = ["127.0.0.1/32"]
        tenants = ["acme"]
        """
    )
    (tmp_path / "vault.toml").write_text(
        """
        [tenants.acme]
        key = { env = "ACME_KEY" }
        previous = { env = "ACME_OLD" }
        [tenants.globex]
        key = { env = "GLOBEX_KEY" }
        """
    )
    writer = LineWriter(1)
    loaded = load(tmp_path / "gateway.toml", KEYS)
    gateway = Gateway(loaded, KEYS, Logger(writer, "error", "json"))
    await gateway.load()
    yield World(gateway, Wire())
    await gateway.aclose()
    writer.close()


ACME = {"x-invopop-tenant": "acme"}


async def test_the_tenants_key_goes_out_and_the_callers_token_stays(world: World) -> None:
    """One `Authorization`, the tenant's; target and host are the upstream's."""
    status, headers, body = await world.call(target="/utils/v1/ping?a=%zz", headers=ACME)
    ((request, _),) = world.wire.sent
    assert (status, json.loads(body)) == (200, {"ping": "pong"})
    assert request.headers.get_list("authorization") == ["Bearer key-acme-1"]
    assert request.headers["host"] == "api.invopop.com"
    assert request.extensions["target"] == b"/utils/v1/ping?a=%zz"
    assert TOKEN not in str(request.headers.raw)
    assert headers["via"] == "1.1 invopop-gateway"
    assert headers["x-request-id"] == request.headers["x-request-id"]


async def test_an_exchange_is_told_once_with_what_was_known(world: World) -> None:
    """The record names caller, tenant, operation, rule, key and durations."""
    await world.call("POST", "/silo/v1/entries", headers=ACME, body=b"{}")
    (x,) = world.exchanges
    assert (x.caller, x.by, x.tenant) == ("billing", "token", "acme")
    assert (x.operation, x.route) == ("silo.entries.create", "/silo/v1/entries")
    assert (x.status, x.attempts, x.bytes_in) == (200, 1, 2)
    assert (x.key_slot, len(x.key_fingerprint)) == ("key", 12)
    assert x.upstream_seconds is not None
    assert 0 < x.overhead_seconds < x.seconds


async def test_the_gateways_own_share_holds_no_waiting(world: World) -> None:
    """Neither the storage that replicas count in, nor Invopop, is in `overhead_seconds`."""

    class Storage:
        async def take(self, *_: object) -> None:
            await asyncio.sleep(0.25)

    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            await asyncio.sleep(0.25)
            yield b"{}"

    world.gateway.rooms.shared_rates = Storage()  # type: ignore[assignment]
    world.wire.answer = lambda _: httpx.Response(200, stream=Slow())
    await world.call(headers=ACME)
    (x,) = world.exchanges
    assert x.seconds >= 0.5
    assert 0 < x.overhead_seconds < 0.25


@pytest.mark.parametrize(
    ("call", "status", "key"),
    [
        ({"target": "/a/../b", "token": ""}, 400, "bad_request"),
        ({"method": "TRACE", "token": ""}, 405, "method_not_allowed"),
        ({"target": "http://evil.test/", "token": ""}, 421, "misdirected"),
        ({"headers": {"via": "1.1 invopop-gateway"}, "token": ""}, 508, "loop_detected"),
        ({"token": ""}, 401, "unauthenticated"),
        ({"target": "http://api.invopop.com/x", "token": ""}, 407, "unauthenticated"),
        ({"token": "igw_wrong", "headers": {"x-invopop-tenant": "nope"}}, 401, "unauthenticated"),
        ({}, 403, "tenant_required"),
        ({"headers": {"x-invopop-tenant": "other-co"}}, 403, "tenant_denied"),
        ({"headers": {"x-invopop-tenant": "ghost"}}, 403, "tenant_denied"),
        (
            {"method": "PATCH", "target": "/access/v1/workspace", "headers": ACME},
            403,
            "operation_denied",
        ),
        ({"method": "POST", "headers": ACME, "body": b"x" * 101}, 413, "body_too_large"),
        ({"headers": ACME | {"x-request-timeout": "never"}}, 400, "bad_request"),
    ],
)
async def test_the_first_check_that_fails_answers(
    world: World, call: dict[str, Any], status: int, key: str
) -> None:
    """In the contract's order; nothing is sent, and nothing holds a permit afterwards."""
    answered, headers, body = await world.call(**call)
    assert (answered, headers["x-gateway-error"]) == (status, key)
    assert json.loads(body)["key"] == key
    assert world.wire.sent == []
    assert world.gateway.rooms.permits.in_flight == 0
    (x,) = world.exchanges
    assert (x.status, x.error, x.tenant) == (status, key, "" if status != 503 else "acme")


async def test_a_caller_removed_during_a_wait_for_keys_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the wait the configuration that is in use by then decides."""
    rooms, source = world.gateway.rooms, FixedKeys(KeySet(()))
    after = rooms.authenticator

    class Before:
        known = False

        def authenticate(self, *_: object) -> Caller:
            if not self.known:
                raise KeyNeeded(source, None)
            return Caller("billing", "jwt")

        async def fetch_keys(self, _: KeyNeeded) -> None:
            self.known = True
            rooms.authenticator = after

    monkeypatch.setattr(rooms, "authenticator", Before())
    status, headers, _ = await world.call(headers=ACME, token="removed")
    assert (status, headers["x-gateway-error"]) == (401, "unauthenticated")
    assert world.wire.sent == []


async def test_an_unknown_tenant_answers_like_a_forbidden_one(world: World) -> None:
    """Byte for byte but for the request id: nobody can sound out which tenants exist."""
    for method, target, body in (
        ("GET", "/utils/v1/ping", b""),
        ("PATCH", "/access/v1/workspace", b""),  # which policy would refuse
        ("POST", "/silo/v1/entries", b"x" * 101),  # which is too large
    ):
        forbidden, unknown = [
            await world.call(
                method, target, body=body, headers={"x-invopop-tenant": name, "x-request-id": "r"}
            )
            for name in ("nobody", "ghost")
        ]
        assert forbidden == unknown
        assert forbidden[0] == 403


async def test_a_name_that_was_not_looked_up_is_no_label(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `[discover]` it is only what a client sent, until a store has known it."""
    rooms = world.gateway.rooms
    monkeypatch.setattr(rooms.vault, "require", lambda _: None)  # a store may know it
    for _ in range(2):
        rooms.permits.acquire("acme")
    status, _, _ = await world.call(headers={"x-invopop-tenant": "ghost"})
    assert (status, world.exchanges[-1].tenant) == (503, "")


async def test_no_permit_no_request(world: World) -> None:
    """Past `max_in_flight` the answer is 503 with `Retry-After`, and costs no upstream call."""
    held = [world.gateway.rooms.permits.acquire("acme") for _ in range(2)]
    status, headers, _ = await world.call(headers=ACME)
    assert (status, headers["x-gateway-error"]) == (503, "overloaded")
    assert headers["retry-after"] == "1"
    for permit in held:
        permit.release()
    assert (await world.call(headers=ACME))[0] == 200


async def test_a_rejected_key_is_replaced_once(world: World) -> None:
    """Invopop refuses the key: the tenant's other key is tried with the same body, a POST too."""
    world.wire.answer = lambda r: httpx.Response(
        401 if r.headers["authorization"] == "Bearer key-acme-1" else 200, json={}
    )
    status, _, _ = await world.call("POST", "/silo/v1/entries", headers=ACME, body=b"{}")
    assert status == 200
    assert world.wire.keys() == ["Bearer key-acme-1", "Bearer key-acme-0"]
    assert [body for _, body in world.wire.sent] == [b"{}", b"{}"]
    assert (world.exchanges[0].attempts, world.exchanges[0].key_slot) == (2, "previous")


async def test_a_tenant_without_a_good_key_is_told_so(world: World) -> None:
    """401 from Invopop to every key is 502 `key_rejected`: the caller's own token was fine."""
    world.wire.answer = lambda _: httpx.Response(401, json={})
    status, headers, _ = await world.call(headers={"x-invopop-tenant": "globex"})
    assert (status, headers["x-gateway-error"]) == (502, "key_rejected")
    assert "www-authenticate" not in headers
    assert set(world.wire.keys()) == {"Bearer key-globex"}


async def test_a_deadline_bounds_the_exchange(world: World) -> None:
    """`X-Request-Timeout` runs out before the reply: 504, and the header does not go upstream."""

    async def hang(request: httpx.Request) -> httpx.Response:
        world.wire.sent.append((request, b""))
        await asyncio.Event().wait()
        raise AssertionError

    world.wire.handle_async_request = hang  # type: ignore[method-assign]
    status, headers, _ = await world.call(headers=ACME | {"x-request-timeout": "0.01"})
    assert (status, headers["x-gateway-error"]) == (504, "upstream_timeout")
    assert "x-request-timeout" not in world.wire.sent[0][0].headers
    assert world.gateway.rooms.permits.in_flight == 0


async def test_a_defect_of_ours_is_a_bare_500(world: World) -> None:
    """An exception that nobody foresaw is answered without its text, and told without it."""

    def defect(_: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError("key-acme-1 in a message")

    world.wire.answer = defect
    status, headers, body = await world.call(headers=ACME)
    assert (status, headers["x-gateway-error"]) == (500, "internal_error")
    assert b"key-acme-1" not in body
    assert world.exchanges[0].error == "internal_error"


@pytest.mark.parametrize(
    ("message", "status", "cause"),
    [
        (CALLER_LEFT, 499, "caller_left"),
        (CALLER_STALLED, 499, "caller_stalled"),
        (DRAIN_CUT, 503, "drain_timeout"),
    ],
)
async def test_a_broken_off_exchange_is_told_and_leaves_nothing(
    world: World, message: str, status: int, cause: str
) -> None:
    """Whoever breaks it off, it is told once, with the phase it was in, and frees its permit."""
    waiting = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError

    world.wire.handle_async_request = hang  # type: ignore[method-assign]
    task = asyncio.ensure_future(world.call(headers=ACME))
    await waiting.wait()
    task.cancel(message)
    with pytest.raises(asyncio.CancelledError):
        await task
    (x,) = world.exchanges
    assert (x.status, x.cause, x.phase) == (status, cause, "waiting")
    assert world.gateway.rooms.permits.in_flight == 0


async def test_a_reply_that_breaks_off_is_never_completed(world: World) -> None:
    """The head is out: the error goes to the server, which cuts; the exchange names the failure."""

    class Broken(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"half"
            raise httpx.ReadError("cut")

    world.wire.answer = lambda _: httpx.Response(200, stream=Broken())
    with pytest.raises(UpstreamError):
        await world.call(headers=ACME)
    (x,) = world.exchanges
    assert (x.status, x.phase, x.error) == (200, "response", "upstream_protocol_error")
    assert (x.bytes_out, world.gateway.rooms.permits.in_flight) == (4, 0)


async def test_a_reply_tells_its_attempts(world: World) -> None:
    """`X-Gateway-Attempts` is set on a reply, Invopop's or our own, that took more than one."""
    statuses = iter([503, 200, 503, 200])
    world.wire.answer = lambda _: httpx.Response(next(statuses), stream=httpx.ByteStream(b""))
    status, headers, _ = await world.call(headers=ACME)
    assert (status, headers["x-gateway-attempts"]) == (200, "2")
    status, headers, _ = await world.call("POST", "/silo/v1/entries", headers=ACME, body=b"{}")
    assert (status, "x-gateway-attempts" in headers) == (503, False)
    status, headers, _ = await world.call(headers=ACME)
    assert (status, "x-gateway-attempts" in headers) == (200, False)

    def away(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("")

    world.wire.answer = away
    status, headers, _ = await world.call("POST", "/silo/v1/entries", headers=ACME, body=b"{}")
    assert (status, headers["x-gateway-attempts"]) == (502, "3")
    assert [x.attempts for x in world.exchanges] == [2, 1, 1, 3]


async def test_no_retry_outlasts_the_deadline(world: World) -> None:
    """Where there is no time for another attempt the outcome that is here passes through."""
    busy = {"retry-after": "5"}
    world.wire.answer = lambda _: httpx.Response(
        503, headers=busy, stream=httpx.ByteStream(b"busy")
    )
    status, headers, body = await world.call(headers=ACME | {"x-request-timeout": "0.5"})
    assert (status, body, "x-gateway-error" in headers) == (503, b"busy", False)


async def test_an_open_circuit_answers_before_the_vault(world: World) -> None:
    """503 circuit_open comes after the tenant, before its key, and takes no permit along."""
    world.wire.answer = lambda _: httpx.Response(502, stream=httpx.ByteStream(b""))
    for index in range(20):
        tenant = ("acme", "globex")[index % 2]
        await world.call("POST", "/silo/v1/entries", headers={"x-invopop-tenant": tenant})
    status, headers, _ = await world.call(headers=ACME)
    assert (status, headers["x-gateway-error"]) == (503, "circuit_open")
    assert 1 <= int(headers["retry-after"]) <= 5
    assert (await world.call(headers={"x-invopop-tenant": "ghost"}))[0] == 403
    assert world.gateway.rooms.permits.in_flight == 0
    assert b"invopop_gateway_circuit_open 1.0" in world.gateway.telling.metrics.exposition("")[0]


async def test_a_reply_that_breaks_off_is_counted(world: World) -> None:
    """A truncated body is an upstream error, though its head was good."""

    class Truncated(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"half"
            raise UpstreamError("upstream_protocol_error", "truncated", sent=True)

    world.wire.answer = lambda _: httpx.Response(200, stream=Truncated())
    with pytest.raises(UpstreamError):
        await world.call(headers=ACME)
    shown = world.gateway.telling.metrics.exposition("")[0]
    assert b'invopop_gateway_upstream_errors_total{kind="truncated"} 1.0' in shown
