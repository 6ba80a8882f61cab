"""A caller's deadline holds for everything that is done for it together, and cuts what is left."""

import time
from collections.abc import Iterator

import pytest

from tests.support.gateway import eventually
from tests.support.world import World, fields, request

DEADLINE = 0.7
HEAD = fields("200 OK", "Content-Length: 10") + b"abc"


@pytest.fixture(scope="module")
def hurried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway whose attempts together may take longer than the deadline, each a bit less."""
    upstream = {"connect_timeout": 0.5, "read_timeout": 5.0, "max_connections": 1}
    with World(tmp_path_factory.mktemp("hurried"), {"upstream": upstream}) as world:
        yield world


def expired(world: World) -> None:
    """One request with a deadline is answered 504 when that is over, not before, nor long after."""
    began = time.monotonic()
    reply = world.get("/x", f"X-Request-Timeout: {DEADLINE}")
    assert (reply.status, reply.get("x-gateway-error")) == (504, "upstream_timeout")
    assert DEADLINE - 0.05 < time.monotonic() - began < DEADLINE + 1


def test_it_bounds_attempts_that_cannot_connect(hurried: World) -> None:
    """Three attempts of half a second each are cut short by it."""
    with hurried.origin.mute():
        expired(hurried)


def test_it_bounds_the_wait_for_a_connection(hurried: World) -> None:
    """A request in line leaves the line, and does no harm to who is served meanwhile."""
    hurried.origin.forget()
    with hurried.origin.silence() as silence:
        first = hurried.connect()
        first.send(request("GET /first"))
        hurried.origin.eventually_started(1)
        expired(hurried)
        silence.release()
        assert first.reply().status == 200
    assert len(hurried.origin.requests) == 1


def test_no_retry_that_would_come_too_late(hurried: World) -> None:
    """Invopop asks to wait longer than the caller will: its answer passes through at once."""
    hurried.origin.forget()
    hurried.origin.answer(fields("503 No", "Retry-After: 2", "Content-Length: 0"))
    began = time.monotonic()
    assert hurried.get("/x", "X-Request-Timeout: 1.5").status == 503
    assert time.monotonic() - began < 1.4
    assert len(hurried.origin.requests) == 1


def test_it_cuts_a_reply_under_way(hurried: World) -> None:
    """Cut, not ended as if whole; and Invopop's side is given up."""
    hurried.origin.forget()
    with hurried.origin.holding(HEAD, b""):
        reply = hurried.get("/x", f"X-Request-Timeout: {DEADLINE}")
        assert (reply.status, reply.body, reply.complete) == (200, b"abc", False)
        eventually(lambda: not hurried.origin.open_connections())


def test_a_reply_in_time_is_whole(hurried: World) -> None:
    """A deadline that is not met changes nothing, and is not passed on."""
    hurried.origin.forget()
    assert hurried.get("/x", "X-Request-Timeout: 5").status == 200
    assert not hurried.origin.requests[0].all("x-request-timeout")
