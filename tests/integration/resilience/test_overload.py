"""Ten times what is allowed: the rest is told so at once, cheaply, and the admin port answers."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.caller import Connection
from tests.support.gateway import eventually
from tests.support.world import TOK_B, World, request

ALLOWED = 8
LIMITS = {"limits": {"max_in_flight": ALLOWED, "max_in_flight_per_tenant": ALLOWED - 2}}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[World]:
    """A gateway that lets eight requests through, six of one tenant."""
    with World(tmp_path, LIMITS) as world:
        yield world


def crowd(world: World, count: int) -> list[Connection]:
    """So many connections, each with a request of one tenant."""
    connections = [world.connect() for _ in range(count)]
    for connection in connections:
        connection.send(request("GET /x"))
    return connections


def test_ten_times_too_many(small: World) -> None:
    """The allowed are served, the others told 503 with Retry-After; Invopop never sees those."""
    with small.origin.silence() as silence:
        everyone = crowd(small, 10 * ALLOWED)
        small.origin.eventually_started(ALLOWED - 2)
        refused = 10 * ALLOWED - (ALLOWED - 2)
        told = small.gateway.metric
        eventually(lambda: told("rejected_total", reason="overloaded") == refused)
        for path in ("/livez", "/readyz", "/metrics"):
            began = time.monotonic()
            assert small.gateway.admin(path)[0] == 200
            assert time.monotonic() - began < 3
        other = small.connect()
        other.send(request("GET /other", token=TOK_B))
        small.origin.eventually_started(ALLOWED - 1)
        silence.release()
        assert other.reply().status == 200
    replies = [connection.reply() for connection in everyone]
    assert sorted(reply.status for reply in replies) == [200] * (ALLOWED - 2) + [503] * refused
    for reply in replies:
        if reply.status == 503:
            assert reply.get("x-gateway-error") == "overloaded"
            assert reply.get("retry-after") == "1"
    assert len(small.origin.requests) == ALLOWED - 1


def cpu_seconds(world: World) -> float:
    """What the process has used."""
    stat = Path(f"/proc/{world.gateway.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def spent(world: World, status: int) -> float:
    """The cost of many requests that all end so."""
    connection, before = world.connect(), cpu_seconds(world)
    for _ in range(10):
        connection.send(request("GET /x") * 50)
        assert {connection.reply().status for _ in range(50)} == {status}
    return cpu_seconds(world) - before


def test_refusing_is_cheaper_than_serving(small: World) -> None:
    """Or overload would feed itself."""
    served = spent(small, 200)
    with small.origin.silence():
        crowd(small, ALLOWED - 2)
        small.origin.eventually_started(ALLOWED - 2)
        assert spent(small, 503) < served
