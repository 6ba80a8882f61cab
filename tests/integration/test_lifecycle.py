"""Start, readiness, signals and the end: nothing that was begun is lost on the way out."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.caller import NoReplyError
from tests.support.gateway import eventually
from tests.support.world import World, fields, request

HELD = fields("200 OK", "Transfer-Encoding: chunked") + b"3\r\none\r\n"
REST = b"3\r\ntwo\r\n0\r\n\r\n"


@contextmanager
def started(directory: Path, **listen: float) -> Iterator[World]:
    """A gateway of one's own, to be ended."""
    with World(directory, {"listen": listen}) as world:
        yield world


def draining(world: World) -> None:
    """SIGTERM, and the wait until readiness says so."""
    world.gateway.signal(signal.SIGTERM)
    eventually(lambda: world.gateway.admin("/readyz")[0] == 503, 3)


def test_listening_events(world: World) -> None:
    """Case 187: one event per listener, with the real ports, and ready from then on."""
    events = world.gateway.events("listening")
    assert sorted(event["listener"] for event in events) == ["admin", "callers"]
    assert {event["url"] for event in events} == {world.gateway.url, world.gateway.admin_url}
    status, body = world.gateway.admin("/readyz")
    assert status == 200
    assert json.loads(body)["checks"]
    assert world.gateway.admin("/livez")[0] == 200


def test_every_line_is_json(world: World) -> None:
    """Logs are one JSON object a line, from the first on."""
    assert world.get("/x").status == 200
    assert len(world.gateway.records()) == len(world.gateway.lines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_when_idle(tmp_path: Path, number: signal.Signals) -> None:
    """Asked to end with nothing to do, it ends at once, well, and takes its sockets along."""
    with started(tmp_path) as world:
        idle = world.connect()
        idle.send(request("GET /x"))
        assert idle.reply().status == 200
        begun = time.monotonic()
        world.gateway.signal(number)
        assert world.gateway.wait() == 0
        assert time.monotonic() - begun < 3
        assert idle.closed()
        with pytest.raises(ConnectionRefusedError):
            world.connect()


def test_request_in_flight_is_finished(tmp_path: Path) -> None:
    """Case 188: a reply under way comes to its end; readiness is gone meanwhile; exit 0."""
    with started(tmp_path) as world:
        with world.origin.holding(HELD, REST) as held:
            connection = world.connect()
            connection.send(request("GET /slow", "X-Request-Id: in-flight"))
            connection.until(b"one")
            draining(world)
            held.release()
            reply = connection.reply()
        assert (reply.body, reply.complete) == (b"onetwo", True)
        assert connection.closed()
        assert world.gateway.wait() == 0
        assert world.gateway.exchange("in-flight")["status"] == 200


def test_request_without_a_head_yet_is_finished(tmp_path: Path) -> None:
    """Case 188: so does one that Invopop has not answered yet; its reply says `close`."""
    with started(tmp_path) as world:
        with world.origin.silence() as held:
            connection = world.connect()
            connection.send(request("GET /slow"))
            world.origin.eventually_started(1)
            draining(world)
            held.release()
            reply = connection.reply()
        assert (reply.status, reply.get("connection")) == (200, "close")
        assert world.gateway.wait() == 0


def test_request_behind_a_reply_under_way_is_served(tmp_path: Path) -> None:
    """Case 188: one that came behind a reply whose head could not say `close` yet is not lost."""
    with started(tmp_path) as world:
        with world.origin.holding(HELD, REST) as held:
            connection = world.connect()
            connection.send(request("GET /slow") + request("GET /next"))
            connection.until(b"one")
            draining(world)
            held.release()
            first, second = connection.reply(), connection.reply()
        assert (first.body, first.complete) == (b"onetwo", True)
        assert (second.status, second.get("connection")) == (200, "close")
        assert world.gateway.wait() == 0


def test_upload_in_flight_is_finished(tmp_path: Path) -> None:
    """Case 188: and one whose body is still coming."""
    with started(tmp_path) as world:
        connection = world.connect()
        connection.send(request("POST /x", "Content-Length: 6", body=b"abc"))
        eventually(lambda: world.gateway.metric("requests_in_flight") == 1)
        draining(world)
        connection.send(b"def")
        assert connection.reply("POST").status == 200
        assert world.gateway.wait() == 0
        assert world.origin.requests[0].body == b"abcdef"


def test_connections_not_accepted_yet_are_served(tmp_path: Path) -> None:
    """Case 188: whoever has connected and asked before the listener closes gets an answer."""
    with started(tmp_path) as world:
        world.gateway.signal(signal.SIGSTOP)
        waiting = [world.connect() for _ in range(20)]
        for connection in waiting:
            connection.send(request("GET /x"))
        world.gateway.signal(signal.SIGTERM)
        world.gateway.signal(signal.SIGCONT)
        assert [connection.reply().status for connection in waiting] == [200] * 20
        assert world.gateway.wait() == 0


def test_drain_delay(tmp_path: Path) -> None:
    """Case 188: while others learn of it, new connections are served, each told to close."""
    with started(tmp_path, drain_delay=1.0) as world:
        kept = world.connect()
        kept.send(request("GET /1"))
        assert kept.reply().get("connection") is None
        draining(world)
        kept.send(request("GET /2"))
        for reply in (kept.reply(), world.get("/3")):
            assert (reply.status, reply.get("connection")) == (200, "close")
        assert world.gateway.wait() == 0


def test_stuck_requests_are_cut(tmp_path: Path) -> None:
    """Case 189: what does not end within `drain_timeout` is cut; that is still a good end."""
    with started(tmp_path, drain_timeout=0.5) as world:
        with world.origin.holding(HELD, b""):
            streaming, uploading = world.connect(), world.connect()
            streaming.send(request("GET /endless"))
            streaming.until(b"one")
            uploading.send(request("POST /stalled", "Content-Length: 9", body=b"abc"))
            eventually(lambda: world.gateway.metric("requests_in_flight") == 2)
            begun = time.monotonic()
            assert world.gateway.stop() == 0
            assert time.monotonic() - begun < 5
            assert not streaming.reply().complete
            assert uploading.closed()
        assert not [seen for seen in world.origin.requests if seen.target == b"/stalled"
                    and seen.complete]  # fmt: skip


def test_second_signal_forces(tmp_path: Path) -> None:
    """Case 189: asked twice, it ends at once, with exit 1."""
    with started(tmp_path) as world, world.origin.silence():
        connection = world.connect()
        connection.send(request("GET /x"))
        world.origin.eventually_started(1)
        draining(world)
        begun = time.monotonic()
        assert world.gateway.stop() == 1
        assert time.monotonic() - begun < 3
        with pytest.raises(NoReplyError):
            connection.reply()


def test_stop_under_load(tmp_path: Path) -> None:
    """Case 188: callers that honour `Connection: close` lose no request; no log line is lost."""
    with started(tmp_path, drain_delay=0.3) as world:
        logged = len(eventually(lambda: world.gateway.events("exchange")))

        def use(number: int) -> int:
            connection = world.connect()
            for count in range(1, 100_000):
                connection.send(request(f"GET /{number}/{count}"))
                reply = connection.reply()
                assert (reply.status, reply.complete) == (200, True)
                if reply.get("connection") == "close":
                    return count
            return 0

        with ThreadPoolExecutor(8) as pool:
            counts = [pool.submit(use, number) for number in range(8)]
            eventually(lambda: len(world.origin.requests) > 100)
            assert world.gateway.stop() == 0
            served = sum(count.result() for count in counts)
        assert len(world.gateway.events("exchange")) - logged == served
        assert len(world.origin.requests) == served


def test_restart_on_the_same_port(tmp_path: Path) -> None:
    """Case 191: killed, it starts again on its port at once: nothing stale is in the way."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with started(tmp_path, port=port) as world:
        connection = world.connect()
        connection.send(request("GET /x"))
        assert connection.reply().status == 200
        world.gateway.kill()
        begun = time.monotonic()
        world.gateway.launch()
        world.gateway.wait_until_listening()
        assert time.monotonic() - begun < 20  # what is stale stays for a minute
        assert world.get("/x").status == 200


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE])
def test_other_signals_disturb_nobody(world: World, number: signal.Signals) -> None:
    """Case 192: SIGHUP at most reloads, SIGUSR1 reopens files, SIGUSR2 and SIGPIPE do nothing."""
    connection = world.connect()
    with world.origin.holding(HELD, REST) as held:
        connection.send(request("GET /x"))
        connection.until(b"one")
        world.gateway.signal(number)
        assert world.get("/meanwhile").status == 200
        held.release()
        assert connection.reply().body == b"onetwo"
