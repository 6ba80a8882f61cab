"""Slowloris: holding a server's connections with requests that never end.

The attacker needs no token: they open connections, begin a request, and add a byte now and then. A
server that waits for the rest as long as bytes keep coming runs out of connections (RSnake, 2009;
Apache, CVE-2007-6750).

uvicorn has no limit on how long a head may take. To the gateway a head must be whole by
`header_timeout` from its connection's or its own first byte, and trickling buys no time; others are
served meanwhile.

Case 105.
"""

import time

import pytest

from tests.support.world import World, request


@pytest.mark.parametrize("begun", [b"G", b"GET /x HTTP/1.1\r\n", request("GET /x")[:-2], b"\r\n"])
def test_heads_that_never_end(hurried: World, begun: bytes) -> None:
    """They are cut off by the deadline; a good request among them is served."""
    slow = [hurried.connect() for _ in range(20)]
    for connection in slow:
        connection.send(begun)
    assert hurried.get("/x").status == 200
    for connection in slow:
        assert connection.closed(timeout=5)
        assert connection.rest()[:12] in {b"HTTP/1.1 408", b""}


def test_trickling_buys_no_time(hurried: World) -> None:
    """A byte now and then does not extend the deadline."""
    connection = hurried.connect()
    started = time.monotonic()
    head = iter(request("GET /x", "X: " + "v" * 500))
    while not connection.closed(timeout=0.05):
        connection.send(bytes([next(head)]), lenient=True)
        assert time.monotonic() - started < 5
    assert connection.rest()[:12] in {b"HTTP/1.1 408", b""}
