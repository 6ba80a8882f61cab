"""Log injection: writing lines into the log that the gateway never wrote.

The attacker puts line breaks, terminal escapes, format characters or a piece of JSON into a path, a
field, a tenant's name or a token, so that a reader, or a machine that parses the log, sees an event
that never was, or a terminal does what it is told (CWE-117).

Text logs that join what came are forged so. The gateway writes one JSON object a line, made of
names it knows: no path, query, field or token goes into it as it came, and lines are bounded.

Case 173.
"""

import json

import pytest

from tests.support.world import TOK_S, World, request

FORGED = '","event":"reload","caller":"root'
TARGETS = [
    b"/x?\x1b[31m", b"/%s%d%n", b"/" + b"a" * 5000, b"/%22%2C%22event%22%3A%22fake%22",
    b"/x?q=%0a%7b%22event%22:%22fake%22%7d",
]  # fmt: skip
FIELDS = [
    "User-Agent: \t{}%s", "X-Request-Id: a\x7fb", f"X-Request-Id: {FORGED}",
    f"X-Invopop-Tenant: {FORGED}", "traceparent: 00-\x1b[0m-01",
]  # fmt: skip


def whole(world: World) -> None:
    """Every line so far is one JSON object of printable characters, and not too long."""
    for line in world.gateway.lines():
        assert len(line) < 4096
        assert line.isprintable()
        assert isinstance(json.loads(line), dict)
    assert not world.gateway.events("fake") + world.gateway.events("reload")


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: repr(t)[:16])
def test_targets(world: World, target: bytes) -> None:
    """What stands in a path or query can neither forge, break nor bloat a line."""
    world.exchange(request(b"GET " + target))
    whole(world)


@pytest.mark.parametrize("line", FIELDS, ids=lambda line: repr(line)[:24])
def test_fields(world: World, line: str) -> None:
    """Nor what stands in a field, though some of them are logged."""
    world.exchange(request("GET /x", line, token=TOK_S))
    whole(world)


def test_tokens(world: World) -> None:
    """Nor what a token claims."""
    claims = world.issuer.claims(FORGED + "\n\x1b[31m")
    world.get("/x", token=world.issuer.token(claims))
    whole(world)
