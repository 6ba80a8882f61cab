"""The sender and the circuit breaker: what counts as a failure, and what becomes of probes."""

import asyncio
from time import perf_counter
from typing import Final, get_args

import pytest

from gateway.errors import AttemptFailure, CallerError, ConnectFailure, GatewayFault
from gateway.events import UpstreamFailed
from gateway.model import CALLER_LEFT, Outbound
from gateway.upstream import sender as module
from gateway.upstream.connection import StaleConnectionError
from gateway.upstream.failures import failure, overloaded
from tests.support.scripted_sender import Step, World, key


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No back-off takes time; this is how long each would have been."""
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(module, "sleep", sleep)
    return waited


async def trip(world: World) -> None:
    """Two tenants meet failures until the circuit opens."""
    for index in range(20):
        await world.send("POST", tenant=("acme", "globex")[index % 2])


async def test_an_open_circuit_sends_nothing() -> None:
    """Requests are answered here, before and at their attempt; it is reported once."""
    world = World(503)
    await trip(world)
    sent = len(world.wire.bodies)
    with pytest.raises(GatewayFault, match="circuit_open"):
        world.sender.check(("acme", "of-acme"))
    assert await world.send() == 503
    assert (len(world.wire.bodies), world.x.attempts) == (sent, 0)
    assert world.circuit_changes() == [True]


async def test_what_opens_the_circuit_is_not_retried() -> None:
    """The outcome that is here is better than `circuit_open`."""
    world = World(502)
    for index in range(19):
        await world.send("POST", tenant=("acme", "globex")[index % 2])
    assert await world.send("GET") == 502
    assert (world.x.attempts, world.breaker.open) == (1, True)


def elapse(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(module, "perf_counter", lambda: perf_counter() + seconds)


async def test_a_good_probe_closes_the_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time one request tries, and all follow."""
    world = World(*[503] * 20, 200)
    await trip(world)
    elapse(monkeypatch, 5.0)
    assert [await world.send(), await world.send()] == [200, 200]
    assert world.circuit_changes() == [True, False]


async def test_a_bad_probe_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt has said enough."""
    world = World(502)
    await trip(world)
    elapse(monkeypatch, 5.0)
    assert await world.send() == 502
    assert world.x.attempts == 1
    assert await world.send() == 503
    assert world.x.attempts == 0


SAYS_NOTHING = [
    asyncio.CancelledError(CALLER_LEFT),
    CallerError("request_timeout"),
    overloaded(),
    StaleConnectionError(sent=True),
]


@pytest.mark.parametrize("ending", SAYS_NOTHING, ids=lambda error: type(error).__name__)
async def test_a_probe_that_says_nothing_gives_its_place_back(
    ending: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A caller that leaves or stalls, or our own lack of connections, is not Invopop's failure."""
    world = World(*[503] * 20, ending, 200)
    await trip(world)
    elapse(monkeypatch, 5.0)
    with pytest.raises(type(ending)):
        await world.sender.send(Outbound("POST", b"/x", [], None), key(), world.x)
    assert await world.send() == 200
    assert not world.breaker.open


@pytest.mark.parametrize("step", [*SAYS_NOTHING[1:], 200, 404, 429, 500, 501])
async def test_what_is_no_failure_never_opens_the_circuit(step: Step) -> None:
    """Other statuses, and what is not Invopop's doing."""
    world = World(step)
    await trip(world)
    await trip(world)
    assert not world.breaker.open


NOT_SENT: Final = get_args(ConnectFailure)


@pytest.mark.parametrize(
    "step",
    [
        *(failure(kind, sent=kind not in NOT_SENT) for kind in get_args(AttemptFailure)),
        *(502, 503, 504),
    ],
)
async def test_what_is_a_failure_opens_the_circuit(step: Step) -> None:
    """No connection, TLS, no reply in time, a broken reply, 502, 503, 504."""
    world = World(step)
    await trip(world)
    assert world.breaker.open


async def test_replies_that_break_off_open_the_circuit() -> None:
    """A reply that began well and broke is a failure, counted by its kind."""
    world = World(200)
    for index in range(20):
        tenant = ("acme", "globex")[index % 2]
        outbound = Outbound("GET", b"/x", [], None, party=(tenant, f"of-{tenant}"))
        reply = await world.sender.send(outbound, key(tenant), world.x)
        reply.broke_off(failure("truncated", sent=True), "id")
        await reply.body.aclose()
    assert UpstreamFailed("truncated", "id") in world.told
    assert world.breaker.open
