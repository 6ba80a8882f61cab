"""Rate limits and bulkheads: per tenant, per caller, shared by replicas, with Redis and without."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.concurrent_callers import keep_asking
from tests.support.edited_gateway import replace
from tests.support.gateway import eventually, token_hash
from tests.support.identity_world import UNOBSERVED, Worlds
from tests.support.redis_server import PASSWORD, RedisServer
from tests.support.world import TOK_B, TOK_S, World, chunked, fields, merged, request

OTHER = "igw_sentinel-token-of-another-0000000000"
SLOW = "igw_sentinel-token-of-slow-00000000000000"
CALLERS = {
    "other": {"tokens": [token_hash(OTHER)], "issuers": [], "tenants": ["acme", "globex"]},
    "slow": {"tokens": [token_hash(SLOW)], "issuers": [], "tenants": ["acme"],
             "requests_per_second": 0.5, "burst": 1},
}  # fmt: skip


def to(tenant: str, token: str, *lines: str) -> bytes:
    """A request on behalf of a tenant."""
    return request("GET /x", f"X-Invopop-Tenant: {tenant}", *lines, token=token)


def statuses(world: World, raw: bytes, count: int) -> list[int]:
    """What so many equal requests are answered, one after the other."""
    return [world.exchange(raw).status for _ in range(count)]


def test_per_tenant_and_per_caller(worlds: Worlds) -> None:
    """A tenant's limit is shared by its callers, and a caller's own comes before it."""
    limits = {"requests_per_second": 0.5, "burst": 3}
    world = worlds({"callers": CALLERS, "limits": limits})
    # Globex: three at once, whoever calls; then none; the others do not notice.
    assert statuses(world, to("globex", TOK_B), 2) == [200, 200]
    assert statuses(world, to("globex", OTHER), 2) == [200, 429]
    refused = world.exchange(to("globex", TOK_S))
    assert (refused.status, refused.get("x-gateway-error")) == (429, "rate_limited")
    assert refused.json()["detail"].startswith("This tenant's request rate")
    wait = int(refused.get("retry-after") or "")
    assert 1 <= wait <= 2
    before = len(world.origin.requests)
    assert statuses(world, to("globex", TOK_B), 5) == [429] * 5
    assert len(world.origin.requests) == before
    # Acme: the caller `slow` has one of its own, and a refusal takes nothing from the tenant.
    assert statuses(world, to("acme", SLOW), 4) == [200, 429, 429, 429]
    refused = world.exchange(to("acme", SLOW))
    assert refused.json()["detail"].startswith("This caller's request rate")
    assert statuses(world, to("acme", OTHER), 1) == [200]
    # What `Retry-After` promises holds.
    eventually(lambda: world.exchange(to("globex", TOK_B)).status == 200, wait + 1.0)
    assert world.gateway.metric("rejected_total", reason="rate_limited") >= 11


def test_one_tenant_cannot_starve_the_rest(worlds: Worlds) -> None:
    """Case 129: past `max_in_flight_per_tenant` it is refused at once; others have their room."""
    world = worlds({"limits": {"max_in_flight_per_tenant": 3}})
    head = fields("200 OK", "Transfer-Encoding: chunked")
    held = [world.origin.holding(b"", head + chunked(b"late", 4)) for _ in range(3)]
    releases = [one.__enter__() for one in held]
    waiting = [world.connect() for _ in range(3)]
    for connection in waiting:
        connection.send(request("GET /held"))
    world.origin.eventually_started(3)
    refused = world.get("/x")
    assert (refused.status, refused.get("x-gateway-error")) == (503, "overloaded")
    assert int(refused.get("retry-after") or "") >= 1
    # Nobody who is not let in takes a place, nor does a refusal keep one.
    assert world.get("/x", token="wrong").status == 401
    assert [world.get("/x", token=TOK_B).status for _ in range(5)] == [200] * 5
    for release in releases:
        release.release()
    assert [connection.reply().status for connection in waiting] == [200] * 3
    eventually(lambda: world.get("/x").status == 200)
    for one in held:
        one.__exit__(None, None, None)
    world.take_series_baseline()
    world.check_invariants()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """The storage that replicas share."""
    with RedisServer(tmp_path) as server:
        yield server


def replica(worlds: Worlds, redis: RedisServer, **limits: Any) -> World:
    """A gateway that counts in Redis."""
    shared = {"storage": redis.url, "storage_password": {"env": "REDIS_PASSWORD"}, **limits}
    environ = {**UNOBSERVED, "REDIS_PASSWORD": PASSWORD}
    return worlds({"limits": shared}, environ=environ)


async def test_replicas_share_a_limit(worlds: Worlds, redis: RedisServer) -> None:
    """Two processes count as one; killed under load Redis fails open or closed, as configured.

    Open: each counts by itself. Closed: 503 `overloaded` until it is back. Neither waits for it.
    """
    opened = replica(worlds, redis, requests_per_second=0.05, burst=6, on_storage_failure="open")
    closed = replica(worlds, redis, requests_per_second=0.05, burst=6, on_storage_failure="closed")
    raw = to("globex", TOK_B)
    both = [world.exchange(raw).status for _ in range(5) for world in (opened, closed)]
    assert both == [200] * 6 + [429] * 4
    refused = closed.exchange(raw)
    assert 1 <= int(refused.get("retry-after") or "") <= 120

    def let_in() -> float:
        return opened.gateway.metric("requests_total", status="200")

    before = let_in()

    async def kill_and_start() -> None:
        redis.kill()
        await asyncio.to_thread(eventually, lambda: let_in() == before + 6)
        await asyncio.to_thread(_is_away, closed)
        await asyncio.to_thread(redis.start)
        await asyncio.to_thread(_is_back, opened)
        await asyncio.to_thread(_is_back, closed)

    met = await asyncio.gather(
        keep_asking(opened.gateway.port, raw, kill_and_start),
        keep_asking(closed.gateway.port, raw, lambda: _until_back(closed)),
    )
    with_open, with_closed = (Counter(reply.status for reply in replies) for replies in met)
    assert set(with_open) <= {200, 429}, with_open
    assert 6 <= with_open[200] <= 18  # by itself while Redis is away, then the shared ones anew
    assert set(with_closed) <= {200, 429, 503}, with_closed
    assert with_closed[503] > 0
    assert with_closed[200] <= 6
    for reply in met[1]:
        if reply.status == 503:
            assert b"x-gateway-error: overloaded" in reply.head.lower()
            assert b"retry-after: 1" in reply.head.lower()
    slowest = max(reply.seconds for replies in met for reply in replies)
    assert slowest < 2
    for world in (opened, closed):
        told = "\n".join([*world.gateway.lines(), world.gateway.metrics_text()])
        assert PASSWORD not in told
        assert world.gateway.told("rate_storage_away")[0]["level"] == "warning"


def _is_away(world: World) -> None:
    eventually(lambda: world.gateway.events("rate_storage_away"))
    assert _check(world) == "degraded"
    assert world.gateway.metric("rate_storage_up") == 0


def _is_back(world: World) -> None:
    eventually(lambda: world.gateway.events("rate_storage_back"), 10)
    assert _check(world) == "ok"
    assert world.gateway.metric("rate_storage_up") == 1


def _check(world: World) -> str:
    """The readiness check of the shared storage; it never makes the process unready."""
    status, body = world.gateway.admin("/readyz")
    assert status == 200
    check = json.loads(body)["checks"]["rate_storage"]
    assert check["status"] == "ok" or re.match(r"unavailable \(\w+(: .+)?\): ", check["reason"])
    return str(check["status"])


def test_what_is_known_of_the_storage_needs_no_request(worlds: Worlds, redis: RedisServer) -> None:
    """It is known to be away from the start, after a reload, and after one that names another.

    It is seen to come back as well.
    """
    redis.kill()
    world = replica(worlds, redis, requests_per_second=50)
    eventually(lambda: _check(world) == "degraded")
    for storage in (redis.url, redis.url.removesuffix("0") + "1"):
        times = len(world.gateway.events("config_reload"))
        replace(world.gateway.config, merged(world.configured, {"limits": {"storage": storage}}))
        world.gateway.told("config_reload", times + 1)
        assert _check(world) == "degraded"
        assert world.gateway.metric("rate_storage_up") == 0
    redis.start()
    eventually(lambda: _check(world) == "ok")
    assert world.gateway.metric("rate_storage_up") == 1


async def _until_back(world: World) -> None:
    await asyncio.to_thread(_is_back, world)


def test_a_retry_counts_once(worlds: Worlds) -> None:
    """What the gateway sends again for a caller is one request of its caller's."""
    world = worlds({"limits": {"requests_per_second": 0.01, "burst": 2}})
    world.origin.answer(fields("503 Busy", "Content-Length: 0"))
    assert world.exchange(to("globex", TOK_B)).status == 200
    assert len(world.origin.requests) == 2
    assert statuses(world, to("globex", TOK_B), 2) == [200, 429]
