"""Rate limits shared between replicas, counted in Redis or Valkey by `limits` (extra `redis`).

Rule: no request waits for the storage longer than `TIMEOUT`, and while it is away only one in
`COOL_DOWN` tries it. Until it is back each process counts by itself, or nothing is let in.
"""

import asyncio
import os
import socket
import time
from collections.abc import Sequence
from math import ceil, floor
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from gateway.errors import CallerError, ConfigurationError, GatewayFault, Problem
from gateway.events import Emit, Level, Noticed
from gateway.network.resolver import Resolver
from gateway.policy.rates import Rate, Rates, rate_limited
from gateway.secret import Secret
from gateway.settings.schema import LimitsSettings

TIMEOUT: Final = 0.25  # seconds for all that one request asks of the storage
COOL_DOWN: Final = 1.0  # seconds between attempts while it is away
LOOK_SECONDS: Final = 5.0  # between looks at a storage that no request asks
_PING_SECONDS: Final = 5.0
_MAX_CONNECTIONS: Final = 64
_PORT: Final = 6379
_NAMESPACE: Final = "invopop-gateway"

Met = Sequence[tuple[str, str, Rate]]


class Counter(Protocol):
    """The storage: counts requests against limits, for all replicas together."""

    errors: tuple[type[Exception], ...]

    async def count(self, kind: str, name: str, rate: Rate) -> float:
        """Counts one request: 0, or the seconds to wait, if the limit is met."""
        ...

    async def ping(self) -> None:
        """Raises one of `errors`, OSError or TimeoutError if the storage cannot be used."""
        ...

    async def aclose(self) -> None:
        """Closes the connections."""
        ...


class SharedRates:
    """`Rates` over a shared storage; `local` holds the rules, and counts while it is away.

    One that is `made_from` the same settings can take its place.
    """

    def __init__(
        self,
        local: Rates,
        counter: Counter,
        emit: Emit,
        *,
        fail_open: bool,
        made_from: tuple[object, ...] = (),
    ) -> None:
        self.made_from = made_from
        self._local = local
        self._counter = counter
        self._emit = emit
        self._fail_open = fail_open
        self._failures: tuple[type[Exception], ...] = (TimeoutError, OSError, *counter.errors)
        self._away = False
        self._why = ""
        self._try_at = 0.0
        self._counting = 0  # requests
        self._closing = False

    async def take(self, caller: str, tenant: str, now: float) -> None:
        """Counts one request; `now` is monotonic seconds.

        Raises CallerError `rate_limited`, or GatewayFault `overloaded` if the storage is away and
        may not be done without.
        """
        met = self._local.rules.of_request(caller, tenant)
        if not met:
            return
        if self._away and now < self._try_at:
            self._without_storage(caller, tenant, now)
            return
        self._try_at = now + COOL_DOWN
        self._counting += 1
        try:
            async with asyncio.timeout(TIMEOUT):
                refusal = await self._count(met)
        except self._failures as error:
            self._turn(error)
            self._without_storage(caller, tenant, now)
            return
        finally:
            self._counting -= 1
            await self._close_unused()
        self._turn(None)
        if refusal is not None:
            raise refusal

    @property
    def away(self) -> bool:
        """Whether the storage did not answer when it was last asked."""
        return self._away

    @property
    def why(self) -> str:
        """Why it is away, in a few words without secrets; "" while it is not."""
        return self._why

    @property
    def fail_open(self) -> bool:
        """Whether requests are served while it is away."""
        return self._fail_open

    async def look(self, now: float) -> None:
        """Finds out whether it is there, unless a request has just done so; `now` as above."""
        if now < self._try_at:
            return
        self._try_at = now + COOL_DOWN
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._counter.ping()
        except self._failures as error:
            self._turn(error)
        else:
            self._turn(None)

    async def trouble(self) -> str:
        """Tries the storage once: what is wrong with it, "" if nothing is. For `check --online`."""
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await self._counter.ping()
        except self._failures as error:
            return _named(error)
        return ""

    async def aclose(self) -> None:
        """Closes the connections to the storage, once no request is being counted."""
        self._closing = True
        await self._close_unused()

    async def _close_unused(self) -> None:
        if self._closing and not self._counting:
            await self._counter.aclose()

    async def _count(self, met: Met) -> CallerError | None:
        """The caller's own limit comes first: one that is past it takes nothing from a tenant."""
        for kind, name, rate in met:
            wait = await self._counter.count(kind, name, rate)
            if wait > 0:
                return rate_limited(kind, wait)
        return None

    def _without_storage(self, caller: str, tenant: str, now: float) -> None:
        if self._fail_open:
            self._local.take(caller, tenant, now)
            return
        detail = "The storage of the rate limits is unavailable."
        headers = [(b"retry-after", b"%d" % ceil(COOL_DOWN))]
        raise GatewayFault("overloaded", detail, headers=headers, cause="rate_storage")

    def _turn(self, error: Exception | None) -> None:
        """Tells when the storage goes away or comes back. The error's text could name anything."""
        away = error is not None
        self._why = "" if error is None else _named(error)
        if away != self._away:
            self._away = away
            level: Level = "warning" if away else "info"
            name = "rate_storage_away" if away else "rate_storage_back"
            fields = {"reason": self._why, "fail_open": self._fail_open} if away else {}
            self._emit(Noticed(name, level, fields))


class RedisCounter:
    """Counts in Redis, by sliding windows: two numbers per limit and name, one script per count."""

    def __init__(self, url: str, password: Secret | None, resolver: Resolver | None = None) -> None:
        """Connects on first use. `url` is `redis://` or `rediss://`, without the password.

        Raises ImportError without the extra `redis`.
        """
        import redis  # noqa: PLC0415 - the extra `redis`
        from limits import RateLimitItemPerSecond  # noqa: PLC0415
        from limits.aio.storage import RedisStorage  # noqa: PLC0415
        from limits.aio.strategies import SlidingWindowCounterRateLimiter  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        from gateway.policy.redis_connection import new_pool  # noqa: PLC0415

        self.errors: tuple[type[Exception], ...] = (redis.RedisError,)
        self._pool = new_pool(
            url,
            resolver or Resolver(),
            max_connections=_MAX_CONNECTIONS,
            timeout=TIMEOUT,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            # One more try at once, for a pooled connection that Redis has closed meanwhile.
            retry=Retry(NoBackoff(), 1),
            **({"password": password.reveal()} if password else {}),
        )
        # The pool is an option of its own, which the type of `limits`' options leaves out.
        options: dict[str, Any] = {"connection_pool": self._pool}
        storage = RedisStorage(f"async+{_with_port(url)}", implementation="redispy", **options)
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._item = RateLimitItemPerSecond

    async def count(self, kind: str, name: str, rate: Rate) -> float:
        """Counts one request: 0, or the seconds to wait, if the limit is met."""
        amount, window = windowed(rate)
        item = self._item(amount, window, _NAMESPACE)
        if await self._limiter.hit(item, kind, name):
            return 0.0
        stats = await self._limiter.get_window_stats(item, kind, name)
        return min(max(stats.reset_time - time.time(), 1.0), float(window))

    async def ping(self) -> None:
        """Has Redis answer, so that address, TLS and password are known to be right."""
        import redis.asyncio  # noqa: PLC0415 - the extra `redis`

        client: Any = redis.asyncio.Redis(connection_pool=self._pool)  # its types miss `await`
        await client.ping()

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._pool.aclose()


def _named(error: BaseException | None) -> str:
    """The type of what failed and, of a system call, its reason. Texts could name anything."""
    name, cause = type(error).__name__, error
    while cause is not None:
        if isinstance(cause, socket.gaierror) and cause.strerror:
            return f"{name}: {cause.strerror}"
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return f"{name}: {os.strerror(cause.errno)}"
        cause = cause.__cause__ or cause.__context__
    return name


def windowed(rate: Rate) -> tuple[int, int]:
    """A limit as so many requests in so many whole seconds: its burst or more, never a higher rate.

    Rounding hides what floating point makes of 7 / 0.7.
    """
    window = max(1, ceil(round(rate.burst / rate.per_second, 6)))
    return max(1, floor(round(rate.per_second * window, 6))), window


def is_shared(limits: LimitsSettings) -> bool:
    """Whether the rate limits are to be counted outside this process."""
    return limits.storage is not None and not limits.storage.startswith("memory:")


def _with_port(url: str) -> str:
    """The URL as `limits` takes it: a port must be there, which Redis's own clients fill in."""
    parts = urlsplit(url)
    if parts.port is not None:
        return url
    return parts._replace(netloc=f"{parts.netloc}:{_PORT}").geturl()


def connect(
    limits: LimitsSettings,
    password: Secret | None,
    local: Rates,
    emit: Emit,
    current: SharedRates | None = None,
) -> SharedRates:
    """The rate limits in `limits.storage`: `current`, if it is made from the same settings.

    Raises ConfigurationError without the extra `redis`.
    """
    made_from = (limits.storage, password, limits.on_storage_failure, local)
    if current is not None and current.made_from == made_from:
        return current  # with its connections, which requests are using, and with what it knows
    try:
        counter = RedisCounter(limits.storage or "", password, Resolver(emit))
    except ImportError:
        expected = 'the extra "redis": pip install "invopop-gateway[redis]"'
        problem = Problem("", "limits.storage", "a Redis URL", expected)
        raise ConfigurationError([problem]) from None
    fail_open = limits.on_storage_failure == "open"
    return SharedRates(local, counter, emit, fail_open=fail_open, made_from=made_from)
