"""Rate limits shared between replicas: swift also while the storage is away."""

import asyncio
import sys

import pytest

from gateway.errors import CallerError, ConfigurationError, GatewayFault, Problem
from gateway.events import Event, Noticed
from gateway.policy import rates_shared
from gateway.policy.rates import Rate, RateRules, Rates
from gateway.policy.rates_shared import (
    COOL_DOWN,
    RedisCounter,
    SharedRates,
    connect,
    is_shared,
    windowed,
)
from gateway.secret import Secret
from gateway.settings.schema import LimitsSettings


class FakeCounter:
    """A storage that counts calls, and does as `answer` says: seconds, an error, or hang."""

    errors: tuple[type[Exception], ...] = (ValueError,)

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.answer: float | Exception | None = 0.0
        self.closed = False
        self.asked = asyncio.Event()
        self.hold: asyncio.Event | None = None

    async def count(self, kind: str, name: str, rate: Rate) -> float:
        self.calls.append((kind, name))
        self.asked.set()
        if self.answer is None:
            await asyncio.Event().wait()
        if self.hold is not None:
            await self.hold.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or 0.0

    async def ping(self) -> None:
        await self.count("ping", "", Rate(1.0, 1))

    async def aclose(self) -> None:
        self.closed = True


def shared(
    counter: FakeCounter, events: list[Event] | None = None, *, fail_open: bool = True
) -> SharedRates:
    local = Rates(RateRules(Rate(1.0, 1), {"batch": Rate(1.0, 1)}))
    emit = (lambda event: None) if events is None else events.append
    return SharedRates(local, counter, emit, fail_open=fail_open)


async def test_each_limit_that_a_request_meets_is_counted_the_callers_first() -> None:
    """A caller past its own limit takes nothing from the tenant's."""
    counter = FakeCounter()
    limiter = shared(counter)
    await limiter.take("batch", "acme", 0.0)
    assert counter.calls == [("caller", "batch"), ("tenant", "acme")]
    counter.answer = 2.5
    with pytest.raises(CallerError) as refused:
        await limiter.take("batch", "acme", 0.0)
    assert (refused.value.key, refused.value.cause) == ("rate_limited", "caller")
    assert refused.value.headers == [(b"retry-after", b"3")]
    assert len(counter.calls) == 3


async def test_without_a_limit_the_storage_is_not_asked() -> None:
    """A request that meets no limit costs no round trip, and cares not whether it is away."""
    counter = FakeCounter()
    rules = RateRules(Rate(0.0, 1), {"batch": Rate(1.0, 1)})
    limiter = SharedRates(Rates(rules), counter, lambda _: None, fail_open=False)
    await limiter.take("billing", "acme", 0.0)
    assert counter.calls == []
    counter.answer = OSError()
    with pytest.raises(GatewayFault):
        await limiter.take("batch", "acme", 0.0)
    await limiter.take("billing", "acme", 0.1)


@pytest.mark.parametrize("failure", [OSError("gone"), ValueError("no script"), TimeoutError()])
async def test_open_means_that_each_process_counts_by_itself(failure: Exception) -> None:
    """While the storage is away requests go through, at this process's own limit."""
    counter, events = FakeCounter(), list[Event]()
    counter.answer = failure
    limiter = shared(counter, events)
    await limiter.take("billing", "acme", 0.0)
    with pytest.raises(CallerError, match="rate_limited"):
        await limiter.take("billing", "acme", 0.1)
    await limiter.take("billing", "acme", 1.0)
    fields = {"reason": type(failure).__name__, "fail_open": True}
    assert events == [Noticed("rate_storage_away", "warning", fields)]


async def test_while_it_is_away_a_callers_own_limit_holds_too() -> None:
    """Each process counts callers by itself as well, in the first request and the next."""
    counter = FakeCounter()
    counter.answer = OSError()
    limiter = shared(counter)
    await limiter.take("batch", "acme", 0.0)
    for now in (0.5, COOL_DOWN - 0.001):
        with pytest.raises(CallerError) as refused:
            await limiter.take("batch", "globex", now)
        assert refused.value.cause == "caller"
    limiter = shared(counter)
    await limiter.take("batch", "acme", 0.0)
    with pytest.raises(CallerError) as refused:
        await limiter.take("batch", "globex", COOL_DOWN - 0.001)
    assert refused.value.cause == "caller"


@pytest.mark.parametrize(("wait", "seconds"), [(0.001, b"1"), (1.0, b"1"), (1.5, b"2")])
async def test_any_wait_is_a_refusal(wait: float, seconds: bytes) -> None:
    """However soon the storage would let the next one through, this one is past the limit."""
    counter = FakeCounter()
    counter.answer = wait
    with pytest.raises(CallerError) as refused:
        await shared(counter).take("billing", "acme", 0.0)
    assert refused.value.headers == [(b"retry-after", seconds)]


async def test_closed_means_that_nothing_goes_through() -> None:
    """Who must never exceed the shared limit is answered 503 while it cannot be counted."""
    counter = FakeCounter()
    counter.answer = OSError()
    limiter = shared(counter, fail_open=False)
    for now in (0.0, 0.1):
        with pytest.raises(GatewayFault) as refused:
            await limiter.take("billing", "acme", now)
        assert (refused.value.key, refused.value.cause) == ("overloaded", "rate_storage")
        assert refused.value.detail == "The storage of the rate limits is unavailable."
        assert refused.value.headers == [(b"retry-after", b"1")]


async def test_a_storage_that_hangs_hangs_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the time-out a request is decided without the storage."""
    monkeypatch.setattr(rates_shared, "TIMEOUT", 0.01)
    counter = FakeCounter()
    counter.answer = None
    async with asyncio.timeout(5):
        await shared(counter).take("billing", "acme", 0.0)
    assert counter.calls == [("tenant", "acme")]


async def test_while_it_is_away_only_one_request_in_a_while_tries_it() -> None:
    """No request but one per cool-down pays for a storage that is away; then it is used again."""
    counter, events = FakeCounter(), list[Event]()
    counter.answer = OSError()
    limiter = shared(counter, events)
    for tenant in "abcdef":
        await limiter.take("billing", tenant, 0.0)
    assert counter.calls == [("tenant", "a")]
    counter.answer = None
    counter.asked.clear()
    probe = asyncio.create_task(limiter.take("billing", "g", COOL_DOWN))
    await counter.asked.wait()
    await limiter.take("billing", "h", COOL_DOWN)
    assert counter.calls == [("tenant", "a"), ("tenant", "g")]
    await probe
    counter.answer = 0.0
    await limiter.take("billing", "i", 2 * COOL_DOWN)
    await limiter.take("billing", "j", 2 * COOL_DOWN)
    assert counter.calls[2:] == [("tenant", "i"), ("tenant", "j")]
    assert events == [
        Noticed("rate_storage_away", "warning", {"reason": "OSError", "fail_open": True}),
        Noticed("rate_storage_back", "info", {}),
    ]


async def test_a_caller_that_leaves_is_no_failure_of_the_storage() -> None:
    """Cancelling a request that waits for the storage leaves everything as it was."""
    counter, events = FakeCounter(), list[Event]()
    counter.answer = None
    limiter = shared(counter, events)
    waiting = asyncio.create_task(limiter.take("billing", "acme", 0.0))
    await counter.asked.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    counter.answer = 0.0
    await limiter.take("billing", "acme", 0.0)
    assert events == []


async def test_a_look_finds_out_whether_it_is_there() -> None:
    """Also while no request asks it; where one has just asked, it is not asked again."""
    counter, events = FakeCounter(), list[Event]()
    limiter = shared(counter, events)
    seen = list[bool]()
    for now, counter.answer in ((0.0, OSError()), (COOL_DOWN / 2, 0.0), (COOL_DOWN, 0.0)):
        await limiter.look(now)
        seen.append(limiter.away)
    assert seen == [True, True, False]
    await limiter.take("billing", "acme", 2 * COOL_DOWN)
    await limiter.look(2 * COOL_DOWN)
    assert counter.calls == [("ping", "")] * 2 + [("tenant", "acme")]
    assert [event.name for event in events if isinstance(event, Noticed)] == [
        "rate_storage_away", "rate_storage_back",
    ]  # fmt: skip


def test_one_made_from_the_same_settings_stays_in_use() -> None:
    """A reload takes no connection from a request that is being counted."""
    local, url = Rates(RateRules(Rate(1.0, 1), {})), "redis://127.0.0.1:1/0"
    limits = LimitsSettings(storage=url)
    current = connect(limits, Secret("old"), local, print)
    assert connect(LimitsSettings(storage=url), Secret("old"), local, print, current) is current
    for other, password in (
        (limits, "new"),
        (LimitsSettings(storage=url, on_storage_failure="closed"), "old"),
        (LimitsSettings(storage="redis://127.0.0.1:1/1"), "old"),
    ):
        assert connect(other, Secret(password), local, print, current) is not current


async def test_closing_closes_the_connections() -> None:
    """Nothing is left open behind."""
    counter = FakeCounter()
    await shared(counter).aclose()
    assert counter.closed


async def test_closing_waits_for_the_request_that_is_being_counted() -> None:
    """It is counted where it began; with the last of them the connections go."""
    counter = FakeCounter()
    counter.hold = asyncio.Event()
    limiter = shared(counter)
    counting = [asyncio.create_task(limiter.take("billing", "acme", 0.0)) for _ in range(2)]
    await counter.asked.wait()
    await limiter.aclose()
    counting[1].cancel()
    await asyncio.wait(counting[1:])
    open_before = not counter.closed
    counter.hold.set()
    await counting[0]
    assert open_before
    assert counter.closed


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (Rate(10.0, 10), (10, 1)),
        (Rate(10.0, 1), (10, 1)),
        (Rate(10.0, 25), (30, 3)),
        (Rate(0.5, 1), (1, 2)),
        (Rate(0.7, 7), (7, 10)),
        (Rate(0.001, 1), (1, 1000)),
        (Rate(2.5, 3), (5, 2)),
        (Rate(2.6, 2), (2, 1)),
    ],
)
def test_a_limit_becomes_so_many_in_a_window_of_whole_seconds(
    rate: Rate, expected: tuple[int, int]
) -> None:
    """The window is long enough for the burst, and its count never exceeds the rate."""
    assert windowed(rate) == expected


@pytest.mark.parametrize(
    ("storage", "expected"),
    [(None, False), ("memory://", False), ("redis://h:1/0", True), ("rediss://h", True)],
)
def test_only_a_redis_is_shared(storage: str | None, expected: bool) -> None:
    """Without a storage, or with `memory://`, each process counts by itself."""
    assert is_shared(LimitsSettings(storage=storage)) == expected


async def test_without_the_extra_the_configuration_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A shared limit that cannot be counted is found at start, with what to install."""
    monkeypatch.setitem(sys.modules, "limits", None)
    limits = LimitsSettings(storage="redis://127.0.0.1:1/0", requests_per_second=1.0)
    local = Rates(RateRules.of(limits, {}))
    with pytest.raises(ConfigurationError) as refused:
        connect(limits, None, local, print)
    [problem] = refused.value.problems
    assert problem == Problem(
        "",
        "limits.storage",
        "a Redis URL",
        'the extra "redis": pip install "invopop-gateway[redis]"',
    )


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (0.0, ""),
        (ValueError("secret"), "ValueError"),
        (ConnectionRefusedError(111, "secret"), "ConnectionRefusedError: Connection refused"),
        (None, "TimeoutError"),
    ],
)
async def test_the_storage_can_be_tried(
    monkeypatch: pytest.MonkeyPatch, answer: float | Exception | None, found: str
) -> None:
    """What is wrong is named by its type and the system's reason, never by a text of its own."""
    monkeypatch.setattr(rates_shared, "_PING_SECONDS", 0.01)
    counter = FakeCounter()
    counter.answer = answer
    assert await shared(counter).trouble() == found


@pytest.mark.parametrize("url", ["redis://127.0.0.1/0", "redis://127.0.0.1", "rediss://[::1]/3"])
def test_a_url_without_a_port_is_enough(url: str) -> None:
    """The library that counts wants a port; Redis's usual one is filled in."""
    assert RedisCounter(url, None).errors
