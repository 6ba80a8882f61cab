"""Connections to the origin are shared one request at a time, within their limit, for ever."""

import random
import resource
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.gateway import eventually
from tests.support.world import KEY_A, KEY_B, TOK_A, TOK_B, World, fields, request

SLOTS = 4  # what the fixture `narrow` sets as upstream.max_connections


def test_connections_are_reused(world: World) -> None:
    """Requests that follow each other share one connection."""
    for number in range(10):
        assert world.get(f"/{number}").status == 200
    assert len({seen.connection for seen in world.origin.requests}) == 1


def test_tenants_share_connections_and_nothing_else(world: World) -> None:
    """Case 132: A, B, A, B on one connection: each request has its own key and headers."""
    for number in range(8):
        token, own = ((TOK_A, "a"), (TOK_B, "b"))[number % 2]
        assert world.get(f"/{own}", f"X-Own-{own}: 1", token=token).status == 200
    assert len({seen.connection for seen in world.origin.requests}) == 1
    for seen in world.origin.requests:
        own, other = ("a", "b") if seen.target == b"/a" else ("b", "a")
        assert seen.all("authorization") == [f"Bearer {KEY_A if own == 'a' else KEY_B}"]
        assert seen.all(f"x-own-{own}") == ["1"]
        assert not seen.all(f"x-own-{other}")


def test_a_refused_key_of_one_tenant_leaves_the_other(world: World) -> None:
    """Case 132: an origin that closes after A's 401 does not disturb B."""
    world.origin.answer(fields("401 Unauthorized", "Connection: close", "Content-Length: 0"))
    assert world.get("/a", "X-Request-Timeout: 3").status == 401  # Invopop takes the key elsewhere
    assert world.get("/b", token=TOK_B).status == 200


def test_everyone_gets_their_own_answer(world: World) -> None:
    """Case 131: many at once, each with an id of its own: none gets another's."""
    world.origin.echo_target()

    def ask(number: int) -> bool:
        connection = world.connect()
        for turn in range(20):
            target = f"/{number}/{turn}"
            connection.send(request(f"GET {target}"))
            if connection.reply().body != target.encode():
                return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(ask, range(48)))


def test_cancellation_under_contention(narrow: World) -> None:
    """Case 127: callers that leave while waiting for a slot, or holding one, cost none."""
    choice = random.Random(127)
    with narrow.origin.silence():
        for _ in range(5):
            crowd = [narrow.connect() for _ in range(SLOTS * 3)]
            for connection in crowd:
                connection.send(request("GET /x"))
            eventually(lambda: narrow.gateway.metric("requests_in_flight") >= SLOTS * 3)
            choice.shuffle(crowd)
            for connection in crowd:
                connection.reset()
            eventually(lambda: narrow.gateway.metric("requests_in_flight") == 0)
    for number in range(SLOTS + 1):
        assert narrow.get(f"/after/{number}").status == 200


def test_pool_exhausted(narrow: World) -> None:
    """Case 128: the one too many waits for a bounded time, then 503 with Retry-After."""
    with narrow.origin.silence():
        holders = [narrow.connect() for _ in range(SLOTS)]
        for connection in holders:
            connection.send(request("GET /hold"))
        narrow.origin.eventually_started(SLOTS)
        reply = narrow.get("/more", timeout=15)
        assert (reply.status, reply.get("x-gateway-error")) == (503, "overloaded")
        assert int(str(reply.get("retry-after"))) >= 0
        assert len(narrow.origin.requests) == SLOTS
        for connection in holders:
            connection.reset()
    assert narrow.get("/after").status == 200


def test_waiting_for_a_slot_ends_well(narrow: World) -> None:
    """Case 128: a slot that comes free in time serves the next in line."""
    with narrow.origin.silence() as silence:
        crowd = [narrow.connect() for _ in range(SLOTS + 2)]
        for connection in crowd:
            connection.send(request("GET /x"))
        narrow.origin.eventually_started(SLOTS)
        silence.release()
        assert [connection.reply().status for connection in crowd] == [200] * len(crowd)
    assert len(narrow.origin.ever_connected) <= SLOTS


def test_too_many_in_flight(narrow: World) -> None:
    """Case 128: beyond `limits.max_in_flight` a request is refused at once."""
    with narrow.origin.silence():
        crowd = [narrow.connect() for _ in range(20)]
        for connection in crowd:
            connection.send(request("GET /x"))
        eventually(lambda: narrow.gateway.metric("requests_in_flight") == 20)
        reply = narrow.get("/more")
        assert (reply.status, reply.get("x-gateway-error")) == (503, "overloaded")
        assert reply.get("retry-after")
        assert narrow.get("/anonymous", token="wrong").status == 401


def test_file_descriptors_run_out(world: World) -> None:
    """Case 134: when no connection can be accepted, nothing crashes; when one can, it is served."""
    pid = world.gateway.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (world.gateway.open_files() + 6, usual[1]))
    try:
        crowd = [world.connect() for _ in range(30)]
        for connection in crowd:
            connection.send(request("GET /x"), lenient=True)
        assert crowd[0].reply().status in {200, 502}
        for connection in crowd:
            connection.close()
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
    assert eventually(lambda: world.get("/after").status == 200)


@pytest.mark.parametrize("times", [3])
def test_idle_connections_do_not_pile_up(world: World, times: int) -> None:
    """After bursts, the connections kept are bounded, and none is in use."""
    for _ in range(times):
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda n: world.get(f"/{n}").status, range(24))) == {200}
    assert world.gateway.metric("upstream_connections", state="active") == 0
    assert len(world.origin.open_connections()) <= 24
