"""Key echo: making the server say the key that the proxy has added.

The attacker cannot see the outgoing request, but may make the server show it: TRACE (RFC 9110
9.3.8), a debug header that repeats what came, an error that quotes the credential, a 401 that names
it.

Proxies pass replies back as they are (CWE-201). The gateway refuses TRACE, takes the key out of any
reply header that holds it, escaped and in base64 too, and counts it; Invopop's 401 never reaches
the caller if it names the key. A body is not searched otherwise: it streams. An API that writes its
caller's key into a body is out of reach here, and `invopop_gateway_key_echo_total` above zero is a
reason to ask whether it does.
"""

from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from tests.support.world import KEY_A, World, fields, request


def test_an_echoed_key_is_redacted(world: World) -> None:
    """A reply header that holds the key loses it, and that is counted."""
    before = world.gateway.metric("key_echo_total")
    world.origin.answer(fields("200 OK", f"X-Debug: was {KEY_A}!", "Content-Length: 0"))
    assert world.get("/x").get("x-debug") == "was [redacted]!"
    assert world.gateway.metric("key_echo_total") == before + 1


@pytest.mark.parametrize(
    "echo",
    [
        "?key=" + "".join(f"%{ord(letter):02x}" for letter in KEY_A),
        quote("".join(f"%{ord(letter):02x}" for letter in KEY_A)),
        b64encode(KEY_A.encode()).decode(),
        "Basic " + b64encode(f"u:{KEY_A}".encode()).decode(),
        urlsafe_b64encode(b"\xff" + KEY_A.encode() + b"\xff\xff").decode().rstrip("="),
        f"{KEY_A} {b64encode(KEY_A.encode()).decode()}",
    ],
)
def test_an_echo_in_disguise_is_redacted(world: World, echo: str) -> None:
    """Escaped or in base64, as a redirect or a copy of `Authorization` would hold it."""
    world.origin.answer(fields("302 Found", f"Location: /x{echo}", "Content-Length: 0"))
    assert world.get("/x").get("location") == "[redacted]"


@pytest.mark.parametrize("method", ["TRACE", "TRACK"])
def test_methods_that_echo(world: World, method: str) -> None:
    """405 here, whatever the server would do."""
    reply = world.exchange(request(f"{method} /x"))
    assert (reply.status, reply.get("x-gateway-error")) == (405, "method_not_allowed")
    assert not world.origin.requests


def test_a_refusal_that_names_the_key(world: World) -> None:
    """Invopop's 401, with its words about our key, is ours to deal with."""
    words = fields("401 Unauthorized", f"WWW-Authenticate: Bearer {KEY_A}", "Content-Length: 40")
    world.origin.answer(words + KEY_A.encode())
    connection = world.connect()
    connection.send(request("POST /x", "Content-Length: 0"))
    reply = connection.reply("POST")
    assert (reply.status, reply.get("x-gateway-error")) == (502, "key_rejected")
    assert KEY_A.encode() not in connection.received


def test_a_broken_reply_that_names_the_key(world: World) -> None:
    """Nor does the error that we make of an unlawful reply quote it."""
    world.origin.answer(b"HTTP/1.1 999 Odd\r\nX-Echo: " + KEY_A.encode() + b"\r\n\r\n")
    connection = world.connect()
    connection.send(request("POST /x", "Content-Length: 0"))
    assert connection.reply("POST").status == 502
    assert KEY_A.encode() not in connection.received
