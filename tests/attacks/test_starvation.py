"""Starvation: one caller takes all that the others need.

The attacker is a caller of ours, with a valid token and two tenants: a service gone wrong, or one
that somebody has taken over. It uploads a byte at a time, asks for replies that it does not read,
asks for what Invopop answers late, or simply asks more often than all others (CWE-400, CWE-770).

A proxy whose connections are first come, first served, then serves nobody else, without any limit
being passed.

From the gateway no caller and no tenant gets the last connection to Invopop, the last place in line
or the last permit; in line those go first who hold least; a body that is not here yet occupies no
connection; and who sends or reads too slowly is cut off (`listen.min_rate`).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.caller import Connection
from tests.support.gateway import eventually
from tests.support.world import TOK_B, TOK_S, World, fields, request

SLOTS = 8
MOST = 7  # of which one caller may use, whatever its tenants
LINE = 4 * SLOTS  # places in line
CROWD = 40
TENANTS = ("acme", "globex")
SIZE = 64 << 20


@pytest.fixture(scope="module")
def scarce(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with few connections to Invopop."""
    directory: Path = tmp_path_factory.mktemp("scarce")
    with World(directory, {"upstream": {"max_connections": SLOTS}}) as made:
        yield made


@pytest.fixture(autouse=True)
def clean(scarce: World) -> Iterator[None]:
    """After each attack nothing of it is left."""
    yield
    scarce.check_invariants()
    eventually(lambda: scarce.gateway.metric("requests_in_flight") == 0)


def crowd(world: World, line: str, *more: str, body: bytes = b"") -> list[Connection]:
    """As many requests of the attacker, each on a connection of its own."""
    connections = []
    for number in range(CROWD):
        connection = world.connect()
        tenant = f"X-Invopop-Tenant: {TENANTS[number % 2]}"
        connection.send(request(line, tenant, *more, token=TOK_S, body=body))
        connections.append(connection)
    return connections


def served(world: World, requests: int = 20) -> None:
    """Another caller is answered, also for a tenant that the attacker uses."""
    for number in range(requests):
        assert world.get(f"/good/{number}", token=TOK_B).status == 200


def connections(world: World, state: str) -> float:
    return world.gateway.metric("upstream_connections", state=state)


def test_uploads_of_one_byte(scarce: World) -> None:
    """They wait for their bodies here, and occupy no connection to Invopop."""
    crowd(scarce, "POST /slow", "Content-Length: 1000", body=b"x")
    eventually(lambda: scarce.gateway.metric("requests_in_flight") == CROWD)
    assert connections(scarce, "active") == 0
    served(scarce)


def test_readers_that_do_not_read(scarce: World) -> None:
    """They hold as many connections as one caller may, and the rest of them wait in line."""
    replies = [
        scarce.origin.sending(fields("200 OK", f"Content-Length: {SIZE}"), SIZE)
        for _ in range(MOST)
    ]
    crowd(scarce, "GET /large")
    eventually(lambda: connections(scarce, "waiting") == LINE)
    assert connections(scarce, "active") == MOST
    served(scarce)
    assert all(reply.sent < SIZE for reply in replies)


def test_requests_that_invopop_answers_late(scarce: World) -> None:
    """A job that takes a minute is everyone's right, but not on every connection."""
    for _ in range(MOST):
        scarce.origin.silent()
    crowd(scarce, "GET /late")
    eventually(lambda: connections(scarce, "waiting") == LINE)
    assert connections(scarce, "active") == MOST
    served(scarce)


def test_a_flood(scarce: World) -> None:
    """Who asks more often than the others waits behind them, not they behind it."""
    attackers = crowd(scarce, "GET /flood")
    for connection in attackers:
        for _ in range(50):
            connection.send(request("GET /flood", "X-Invopop-Tenant: acme", token=TOK_S))
    served(scarce)
    assert attackers[0].reply().status == 200


def test_in_line_the_others_go_first(scarce: World) -> None:
    """With all connections in use and the line full: one of the attacker's makes room in it."""

    def crowded_out() -> float:
        return scarce.gateway.metric("rejected_total", reason="overloaded")

    with scarce.origin.silence() as silence:
        attackers = crowd(scarce, "GET /late")
        eventually(lambda: connections(scarce, "waiting") == LINE)
        first, second = scarce.connect(), scarce.connect()
        first.send(request("GET /first", token=TOK_B))
        eventually(lambda: connections(scarce, "active") == SLOTS)
        refused = crowded_out()
        second.send(request("GET /second", token=TOK_B))
        eventually(lambda: crowded_out() == refused + 1)
        scarce.origin.requests.clear()
        attackers[0].reset()
        eventually(lambda: scarce.origin.requests)
        assert scarce.origin.requests[0].target == b"/second"
        silence.release()
        assert first.reply().status == second.reply().status == 200
