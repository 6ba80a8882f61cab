"""Memory exhaustion: a bomb in gzip, an endless head, a body without end.

The attacker sends little that becomes much, or much that is kept: 100 KB of gzip that unpack to 100
MB, one header of 16 MB, two hundred thousand of them, a chunked body that never stops (CWE-409,
CWE-770).

Proxies that unpack bodies, or hold a head or body whole, die of it. The gateway never unpacks,
holds no body whole in either direction, and cuts off a head or body at its limit while it arrives.

Cases 52 and 78.
"""

import gzip

import pytest

from tests.support.world import World, fields, request

BOMB = gzip.compress(bytes(100 << 20))
LITTLE = 16 << 20  # bytes by which a process may grow for reasons of its own
LIMITS = {
    "long value": ("X: " + "v" * 65_536,),
    "many": tuple(f"X-{i}: v" for i in range(200)),
    "very many": tuple("X: v" for _ in range(200_000)),
}


def test_a_bomb_in_a_reply(world: World) -> None:
    """It passes as the bytes it is; the process does not grow."""
    before = world.gateway.resident_bytes()
    length = f"Content-Length: {len(BOMB)}"
    world.origin.answer(fields("200 OK", "Content-Encoding: gzip", length) + BOMB)
    reply = world.get("/x", "Accept-Encoding: gzip")
    assert (reply.get("content-encoding"), reply.body == BOMB) == ("gzip", True)
    assert world.gateway.resident_bytes() - before < LITTLE


def test_a_bomb_in_a_request(world: World) -> None:
    """So it does the other way."""
    before = world.gateway.resident_bytes()
    length = f"Content-Length: {len(BOMB)}"
    _, seen = world.passed(request("POST /x", "Content-Encoding: gzip", length, body=BOMB))
    assert (seen.get("content-encoding"), seen.body == BOMB) == ("gzip", True)
    assert world.gateway.resident_bytes() - before < LITTLE


@pytest.mark.parametrize("name", LIMITS)
def test_a_head_over_the_limits(world: World, name: str) -> None:
    """431, while it is read, not after."""
    connection = world.connect()
    connection.send(request("GET /x", *LIMITS[name]), lenient=True)
    reply = connection.reply()
    assert (reply.status, reply.get("x-gateway-error")) == (431, "headers_too_large")
    assert connection.closed()
    assert not world.origin.requests


def test_an_endless_header(world: World) -> None:
    """16 MiB of one unfinished header leave the resident set where it was."""
    before = world.gateway.resident_bytes()
    connection = world.connect()
    connection.send(request("GET /x")[:-2] + b"X: " + b"v" * (16 << 20), lenient=True)
    assert connection.reply().status == 431
    assert world.gateway.resident_bytes() - before < LITTLE


def test_a_body_over_the_limit(hurried: World) -> None:
    """Stated or not, it is 413, and never a whole request at the origin."""
    stated = request("POST /x", f"Content-Length: {1 << 40}")
    assert hurried.exchange(stated, "POST").get("x-gateway-error") == "body_too_large"
    assert not hurried.origin.requests
    chunk = b"10000\r\n" + b"Z" * 0x10000 + b"\r\n"
    connection = hurried.connect()
    connection.send(request("POST /x", "Transfer-Encoding: chunked", body=chunk * 64), lenient=True)
    assert connection.reply("POST").get("x-gateway-error") == "body_too_large"
    assert not [seen for seen in hurried.origin.requests if seen.complete]
