"""Rate limits in a real Redis: shared by two gateways, killed, back again, and wrongly opened."""

import asyncio
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis as Client

from gateway.errors import CallerError, GatewayError, GatewayFault
from gateway.events import Event, Noticed
from gateway.policy.rates import Rate, RateRules, Rates
from gateway.policy.rates_shared import TIMEOUT, RedisCounter, SharedRates, connect
from gateway.secret import Secret
from gateway.settings.schema import LimitsSettings

PASSWORD = "a-password-of-redis"


class Redis:
    """A real Redis on a port of its own, that can be killed and started again."""

    def __init__(self, port: int, directory: Path) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}/0"
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        options = ("--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD)
        self._process = await asyncio.create_subprocess_exec(
            "redis-server",
            *("--port", str(self.port), "--dir", str(self._directory), *options),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            while b"Ready to accept connections" not in await self._process.stdout.readline():
                pass

    def stop(self) -> None:
        """Lets it hang: connections are taken, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.communicate()
            self._process = None


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Redis]:
    if shutil.which("redis-server") is None:
        pytest.skip("no redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Redis(port, tmp_path)
    await server.start()
    yield server
    await server.kill()


def replica(redis: Redis, events: list[Event], on_failure: str = "open") -> SharedRates:
    limits = LimitsSettings.model_validate(
        {
            "storage": redis.url,
            "on_storage_failure": on_failure,
            "requests_per_second": 0.1,
            "burst": 4,
        }
    )
    return connect(limits, Secret(PASSWORD), Rates(RateRules.of(limits, {})), events.append)


async def outcome(limiter: SharedRates, tenant: str, now: float) -> str:
    try:
        await limiter.take("billing", tenant, now)
    except GatewayError as error:
        return error.key
    return "passed"


async def test_two_replicas_share_a_limit_in_a_real_redis(redis: Redis) -> None:
    """What one gateway lets through the other no longer does; `Retry-After` tells how long."""
    events = list[Event]()
    replicas = [replica(redis, events), replica(redis, events)]
    outcomes = [await outcome(replicas[turn % 2], "acme", time.monotonic()) for turn in range(8)]
    assert outcomes == ["passed"] * 4 + ["rate_limited"] * 4
    assert await outcome(replicas[1], "globex", time.monotonic()) == "passed"
    with pytest.raises(CallerError) as refused:
        await replicas[0].take("billing", "acme", time.monotonic())
    [(_, seconds)] = refused.value.headers
    assert 1 <= int(seconds) <= 40
    assert events == []
    for limiter in replicas:
        await limiter.aclose()


async def test_callers_tenants_and_other_programs_are_counted_apart(redis: Redis) -> None:
    """A caller and a tenant of one name have a count each, under keys that bear our name."""
    rate = Rate(0.01, 2)
    counter = RedisCounter(redis.url, Secret(PASSWORD))
    limiter = SharedRates(Rates(RateRules(rate, {"acme": rate})), counter, print, fail_open=False)
    for _ in range(2):
        await limiter.take("acme", "acme", 0.0)
    with pytest.raises(CallerError) as refused:
        await limiter.take("acme", "acme", 0.0)
    assert refused.value.cause == "caller"
    await limiter.aclose()
    async with Client.from_url(redis.url, password=PASSWORD) as client:
        keys = await client.keys()
        lives = [await client.ttl(key) for key in keys]
    assert len(keys) == 2
    assert all(b"invopop-gateway" in key for key in keys)
    assert min(lives) > 100  # the window is 200 s


@pytest.mark.parametrize(("on_failure", "away"), [("open", "passed"), ("closed", "overloaded")])
async def test_a_real_redis_that_is_killed_and_comes_back(
    redis: Redis, on_failure: str, away: str
) -> None:
    """Killed under way, Redis fails as configured, at once; when it is back it counts again."""
    events = list[Event]()
    limiter = replica(redis, events, on_failure)
    assert await outcome(limiter, "t0", 0.0) == "passed"
    await redis.kill()
    async with asyncio.timeout(5):
        assert [await outcome(limiter, f"t{turn}", 0.5) for turn in range(20)] == [away] * 20
    await redis.start()
    outcomes = [await outcome(limiter, "t0", 10.0) for _ in range(5)]
    assert outcomes == ["passed"] * 4 + ["rate_limited"]
    assert [event.name for event in events if isinstance(event, Noticed)] == [
        "rate_storage_away",
        "rate_storage_back",
    ]
    await limiter.aclose()


async def test_a_real_redis_that_hangs_hangs_no_request(redis: Redis) -> None:
    """A Redis that takes connections and answers nothing costs one request a moment, no more."""
    events = list[Event]()
    limiter = replica(redis, events)
    assert await outcome(limiter, "t0", 0.0) == "passed"
    redis.stop()
    async with asyncio.timeout(50 * TIMEOUT):
        assert [await outcome(limiter, f"t{turn}", 0.5) for turn in range(100)] == ["passed"] * 100
    await limiter.aclose()


async def test_a_wrong_password_is_a_storage_that_is_away_and_is_never_told(redis: Redis) -> None:
    """The password shows in no event and no error."""
    events = list[Event]()
    local = Rates(RateRules(Rate(1.0, 1), {}))
    wrong = RedisCounter(redis.url, Secret("wrong-password"))
    limiter = SharedRates(local, wrong, events.append, fail_open=False)
    with pytest.raises(GatewayFault) as refused:
        await limiter.take("billing", "acme", 0.0)
    assert "wrong-password" not in f"{events} {refused.value!r} {refused.value.detail}"
    assert [event.name for event in events if isinstance(event, Noticed)] == ["rate_storage_away"]
    await limiter.aclose()
