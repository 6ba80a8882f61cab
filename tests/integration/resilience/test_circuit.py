"""The circuit breaker over the wire: who opens it, what callers meet meanwhile, how it closes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.caller import Connection, NoReplyError
from tests.support.gateway import eventually
from tests.support.world import TOK_A, TOK_B, TOK_S, World, fields, request

ENOUGH = 20  # attempts, fewer of which are never judged
OPEN_FOR = 3.0  # long enough that a slow machine asks while it is still open
UPSTREAM = {"circuit_failure_ratio": 0.5, "circuit_open_for": OPEN_FOR, "max_retries": 0}


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[World]:
    """A gateway with a breaker that has seen nothing but one good request."""
    with World(tmp_path, {"upstream": UPSTREAM}) as world:
        yield world


def ask(world: World, status: int, tokens: tuple[str, ...], times: int) -> list[int]:
    """So many requests that the origin answers with `status`, the tokens taking turns."""
    connection, statuses = world.connect(), []
    for number in range(times):
        world.origin.answer(fields(f"{status} No", "Content-Length: 0"))
        token = tokens[number % len(tokens)]
        connection.send(request("POST /x", "Content-Length: 0", token=token))
        statuses.append(connection.reply("POST").status)
    return statuses


def is_open(world: World) -> bool:
    """What the metric says."""
    return world.gateway.metric("circuit_open") == 1


def opened(world: World) -> None:
    """Two tenants meet failures until the circuit opens."""
    ask(world, 503, (TOK_A, TOK_B), ENOUGH - 1)  # a good one went before them
    assert is_open(world)
    world.origin.start_over()


def test_two_tenants_failures_open_it(judged: World) -> None:
    """From then on callers are answered at once, told when to come back; Invopop is left alone."""
    opened(judged)
    for token in (TOK_A, TOK_B):
        reply = judged.get("/x", token=token)
        assert (reply.status, reply.get("x-gateway-error")) == (503, "circuit_open")
        assert int(str(reply.get("retry-after"))) in {1, 2, 3}
    assert not judged.origin.requests
    (event,) = judged.gateway.told("circuit_opened")
    assert event["level"] == "warning"
    assert event["reason"].endswith("failed, for several tenants and several callers")
    assert judged.gateway.metric("rejected_total", reason="circuit_open") == 2


def test_one_tenants_failures_do_not(judged: World) -> None:
    """While another tenant is served well, its troubles are its own."""
    ask(judged, 200, (TOK_B,), 2)
    ask(judged, 503, (TOK_A,), 2 * ENOUGH)
    assert not is_open(judged)
    assert judged.get("/x", token=TOK_B).status == 200


def test_one_callers_failures_do_not(judged: World) -> None:
    """Whatever tenants it names: while another caller is served well, its troubles are its own."""
    ask(judged, 200, (TOK_B,), 2)
    connection = judged.connect()
    for number in range(2 * ENOUGH):
        judged.origin.answer(fields("503 No", "Content-Length: 0"))
        tenant = f"X-Invopop-Tenant: {('acme', 'globex')[number % 2]}"
        connection.send(request("POST /x", "Content-Length: 0", tenant, token=TOK_S))
        assert connection.reply("POST").get("x-gateway-error") is None
    assert not is_open(judged)
    assert judged.get("/x", token=TOK_B).status == 200


def test_other_statuses_never_do(judged: World) -> None:
    """They are answers, not failures of Invopop."""
    for status in (400, 404, 409, 429, 500, 501):
        assert set(ask(judged, status, (TOK_A, TOK_B), ENOUGH)) == {status}
    assert not is_open(judged)


def test_callers_deadlines_and_leaving_do_not(judged: World) -> None:
    """What a caller would not wait for says nothing about Invopop."""
    with judged.origin.silence(), ThreadPoolExecutor(10) as pool:

        def hurry(number: int) -> int:
            token = (TOK_A, TOK_B)[number % 2]
            return judged.get("/x", "X-Request-Timeout: 0.1", token=token).status

        def leave(number: int) -> None:
            connection = judged.connect()
            connection.send(request("GET /x", token=(TOK_A, TOK_B)[number % 2]))
            connection.reset()

        assert set(pool.map(hurry, range(ENOUGH))) == {504}
        list(pool.map(leave, range(ENOUGH)))
        eventually(lambda: judged.gateway.metric("requests_in_flight") == 0)
    assert not is_open(judged)


def probing(world: World) -> Connection | None:
    """A request that is not answered at once, so that it is a probe; None if it was refused."""
    connection = world.connect()
    connection.send(request("GET /probe"))
    try:
        connection.reply(timeout=0.2)
    except NoReplyError:
        return connection
    return None


def test_a_probe_closes_it(judged: World) -> None:
    """Half open, one request goes through and the others wait; if it goes well, all is open."""
    opened(judged)
    with judged.origin.silence() as silence:
        probe = eventually(lambda: probing(judged))
        assert probe is not None
        assert judged.get("/x", token=TOK_B).get("x-gateway-error") == "circuit_open"
        assert len(judged.origin.requests) == 1
        silence.release()
        assert probe.reply().status == 200
    assert not is_open(judged)
    assert judged.get("/x", token=TOK_B).status == 200
    assert len(judged.gateway.told("circuit_closed")) == 1


def test_a_probe_that_fails_keeps_it_open(judged: World) -> None:
    """For as long again, and without a word in the log."""
    opened(judged)
    judged.origin.answer(fields("503 No", "Content-Length: 0"))
    eventually(lambda: judged.get("/x").get("x-gateway-error") is None)
    assert is_open(judged)
    assert judged.get("/x").get("x-gateway-error") == "circuit_open"
    assert len(judged.origin.requests) == 1
    assert len(judged.gateway.told("circuit_opened")) == 1
