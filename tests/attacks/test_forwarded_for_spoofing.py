"""Address spoofing: `X-Forwarded-For: 127.0.0.1` in place of a token.

The attacker is anywhere on the network and has no token. They write the address, certificate or
user that a proxy in front would have attested, and hope that the gateway believes the header over
the connection (CWE-290, CWE-348).

Frameworks that trust forwarding fields from any peer do. The gateway knows a peer by its connection
alone: such fields neither open nor close anything, are not logged as the peer, and go no further.

Cases 41 and 156.
"""

import pytest

from tests.support.world import World, request

CLAIMS = [
    "X-Forwarded-For: 127.0.0.1",
    "X-Real-IP: 127.0.0.1",
    "Forwarded: for=127.0.0.1",
    "X-Forwarded-Client-Cert: URI=spiffe://prod/billing",
    "X-SSL-Client-Verify: SUCCESS",
    "X-SSL-Client-S-DN: CN=billing",
    "X-Forwarded-User: billing",
]


@pytest.mark.parametrize("line", CLAIMS)
def test_it_opens_nothing(world: World, line: str) -> None:
    """An address, certificate or user that a header claims is nobody's."""
    assert world.get("/x", line, token=None).status == 401
    assert not world.origin.requests


def test_it_closes_nothing(sidecar: World) -> None:
    """Nor does it hide the real address."""
    assert sidecar.get("/x", "X-Forwarded-For: 6.6.6.6", token=None).status == 200


def test_it_is_not_believed_in_the_log(world: World) -> None:
    """The logged peer is the one of the connection."""
    reply = world.exchange(request("GET /x", "X-Forwarded-For: 6.6.6.6"))
    record = world.gateway.exchange(str(reply.get("x-request-id")))
    assert record["peer"] == "127.0.0.1"
    assert "6.6.6.6" not in str(record)


@pytest.mark.parametrize("line", CLAIMS)
def test_it_goes_no_further(world: World, line: str) -> None:
    """Invopop is not told either."""
    _, seen = world.passed(request("GET /x", line))
    assert not seen.all(line.partition(":")[0].lower())
