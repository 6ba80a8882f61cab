"""Pipelining without end: small requests as fast as the network takes them, before any reply.

The attacker needs no token: a refusal is a reply, too. A server that goes on reading while it
answers keeps what it cannot serve yet, and each request that it does serve makes room for more than
it took; or replies pile up for a caller that does not read them (HTTP/1.1 pipelining, RFC 9112
9.3.2; Go's CVE-2023-39325 is the same over HTTP/2).

To the gateway what lies unread of one connection is bounded, the next request waits until the
replies so far have been taken, and the rest is left to TCP.

Case 70.
"""

import socket
import time
from threading import Thread

import pytest

from tests.support.readiness import readable, writable
from tests.support.world import World

ATTACKERS = 10
SECONDS = 2.0
SLACK = 48 * 2**20
FLOOD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000


def flood(port: int, *, reading: bool) -> None:
    """Sends as much as is taken."""
    until = time.monotonic() + SECONDS
    rest = memoryview(FLOOD)
    with socket.create_connection(("127.0.0.1", port)) as attacker:
        attacker.setblocking(False)
        while time.monotonic() < until:
            if reading and readable(attacker, 0.01) and not attacker.recv(2**18):
                return
            if writable(attacker, 0.1):
                rest = rest[attacker.send(rest) :] or memoryview(FLOOD)


@pytest.mark.parametrize("reading", [True, False])
def test_requests_without_end(world: World, reading: bool) -> None:
    """No more is held than some buffers each, and a good caller is served meanwhile."""
    assert world.get("/x").status == 200
    before = world.gateway.resident_bytes()
    port = world.gateway.port
    attackers = [
        Thread(target=flood, args=(port,), kwargs={"reading": reading}) for _ in range(ATTACKERS)
    ]
    for attacker in attackers:
        attacker.start()
    served, most = 0, before
    while any(attacker.is_alive() for attacker in attackers):
        served += world.get("/x").status == 200
        most = max(most, world.gateway.resident_bytes())
    assert served >= 3
    assert most - before < SLACK
