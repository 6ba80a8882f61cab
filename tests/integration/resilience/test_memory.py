"""The bound that `check` prints, against the real program: each part of it driven to its worst.

Each case has a process of its own, with small limits, and compares what it grew by with what
`check` says of the same configuration. The kernel's buffers are not the process's.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.memory import NOISE, PLAIN_PYTHON, memory
from tests.support.world import TOK_A, World, request

CONNECTIONS = 80
LIMITS: dict[str, Any] = {
    "listen": {
        "max_connections": CONNECTIONS,
        "max_connections_per_peer": CONNECTIONS,
        "header_timeout": 60.0,
        "write_timeout": 60.0,
        "body_timeout": 60.0,
    },
    "admin": {"max_connections": 32},
    "upstream": {"max_connections": 30, "file_hosts": []},
    "limits": {"max_in_flight": 40, "max_body": 0},
    "metrics": {"max_series": 500},
}
STRANGER = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def with_tls(directory: Path) -> dict[str, Any]:
    """Settings for TLS to callers."""
    pem = str(Authority(directory, "callers").certificate("localhost"))
    return {"tls_certificate": pem, "tls_key": pem}


@contextlib.contextmanager
def started(directory: Path, **listen: Any) -> Iterator[World]:
    """A gateway that has served nothing yet but one probe."""
    changes = LIMITS | {"listen": LIMITS["listen"] | listen}
    world = World(directory, changes, environ=PLAIN_PYTHON)
    with world.gateway:
        world.gateway.metrics_text()
        try:
            yield world
        finally:
            world.origin.start_over()
    world.origin.hang_up()


def connect(port: int, count: int, tls: ssl.SSLContext | None = None) -> list[socket.socket]:
    """Connections that never read; each has a small buffer for replies."""
    made = []
    for _ in range(count):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(5)
        sock.connect(("127.0.0.1", port))
        sock = tls.wrap_socket(sock) if tls else sock
        sock.setblocking(False)
        made.append(sock)
    return made


def pour(world: World, callers: Iterable[socket.socket], first: bytes, then: bytes) -> int:
    """Sends `first`, then `then` again and again, until nothing is taken; most bytes resident."""
    rest = {caller: memoryview(first) for caller in callers}
    block = memoryview(then * (256 * 1024 // len(then)))
    most, moved, ends = 0, time.monotonic(), time.monotonic() + 5
    while time.monotonic() < min(moved + 0.7, ends):
        for caller, data in rest.items():
            with contextlib.suppress(BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                sent = caller.send(data)
                rest[caller] = data[sent:] or block
                moved = time.monotonic()
        most = max(most, world.gateway.resident_bytes())
        time.sleep(0.005)  # lets the gateway run, too
    return most


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_strangers_that_pipeline_and_never_read(tmp_path: Path, tls: bool) -> None:
    """Every connection filled up, without any credential."""
    context = ssl.create_default_context() if tls else None
    if context is not None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with started(tmp_path, **(with_tls(tmp_path) if tls else {})) as world, ExitStack() as stack:
        before = world.gateway.resident_bytes()
        callers = connect(world.gateway.port, CONNECTIONS, context)
        for caller in callers:
            stack.callback(caller.close)
        most = pour(world, callers, STRANGER, STRANGER)
        bound = memory(world)["callers' connections"]
    assert bound / 4 < most - before < bound + NOISE


IN_FLIGHT = {
    "callers' connections",
    "requests in flight",
    "exchanges with Invopop and file hosts",
    "connections to Invopop and file hosts",
}


def in_flight(world: World) -> int:
    """What requests, their connections and Invopop may take together."""
    parts = memory(world)
    return sum(size for name, size in parts.items() if name in IN_FLIGHT)


def test_uploads_that_invopop_does_not_read(tmp_path: Path) -> None:
    """Every permit and every connection to Invopop taken, every buffer on the way full."""
    with started(tmp_path) as world, ExitStack() as stack:
        before = world.gateway.resident_bytes()
        for _ in range(LIMITS["upstream"]["max_connections"]):
            stack.enter_context(world.origin.not_reading())
        callers = connect(world.gateway.port, LIMITS["limits"]["max_in_flight"])
        for caller in callers:
            stack.callback(caller.close)
        head = request("PUT /silo/v1/files/x", "Content-Length: 90000000000", token=TOK_A)
        most = pour(world, callers, head, bytes(1024))
        bound = in_flight(world)
    assert bound / 8 < most - before < bound + NOISE


def test_replies_that_callers_do_not_read(tmp_path: Path) -> None:
    """Every connection to Invopop has a reply without end, which nobody takes."""
    with started(tmp_path) as world, ExitStack() as stack:
        before = world.gateway.resident_bytes()
        count = LIMITS["upstream"]["max_connections"]
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n"
        for _ in range(count):
            world.origin.sending(head, 900_000_000)
        callers = connect(world.gateway.port, count)
        for caller in callers:
            stack.callback(caller.close)
        most = pour(world, callers, request("GET /x", token=TOK_A), STRANGER)
        bound = in_flight(world)
    assert bound / 8 < most - before < bound + NOISE


def test_scrapers_that_never_read(tmp_path: Path) -> None:
    """Every admin connection filled up with scrapes and status pages; further ones are refused."""
    with started(tmp_path) as world, ExitStack() as stack:
        gateway = world.gateway
        before = gateway.resident_bytes()
        most_of_one_peer = LIMITS["admin"]["max_connections"] * 3 // 4
        scrapers = connect(gateway.admin_port, most_of_one_peer + 10)
        for scraper in scrapers:
            stack.callback(scraper.close)
        asked = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        most = 0
        with contextlib.suppress(ConnectionError):
            most = pour(world, scrapers[:most_of_one_peer], asked, asked)
        parts = memory(world)
        bound = parts["admin connections"] + parts["metrics"]
        refused = {line["reason"] for line in gateway.told("connections_refused")}
    assert refused == {"max_connections_per_peer"}
    assert 0 < most - before < bound + NOISE


def test_one_peer_leaves_room_for_others(tmp_path: Path) -> None:
    """With default shares: a peer that opens all it can is refused, counted, and logged once."""
    (tmp_path / "more").mkdir()
    world = World(tmp_path / "more", {"listen": {"max_connections": 40}})
    with world.gateway, ExitStack() as stack:
        for caller in connect(world.gateway.port, 50):
            stack.callback(caller.close)
        line = world.gateway.told("connections_refused")[0]
        assert (line["listener"], line["peer"]) == ("callers", "127.0.0.1")
        assert line["reason"] == "max_connections_per_peer"
        labels = {"listener": "callers", "reason": "max_connections_per_peer"}
        assert world.gateway.metric("connections_refused_total", **labels) == 20
        other = stack.enter_context(socket.socket())
        other.bind(("127.0.0.2", 0))
        other.settimeout(5)
        other.connect(("127.0.0.1", world.gateway.port))
        other.sendall(request("GET /x"))
        assert other.recv(64).startswith(b"HTTP/1.1 200")
    world.origin.hang_up()
