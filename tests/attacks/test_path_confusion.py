"""Policy bypass by path: a path that the guard reads one way and the server another.

The attacker's token may use some operations only. They write a forbidden path so that the guard
does not recognise it and the server behind does: with dot segments, with `%2F` for a slash, with
escaped letters, twice encoded, in other letters.

Envoy's rules were passed with `/allowed/../admin` (CVE-2019-9901) and with `%2F` (CVE-2021-29492).
The gateway judges every reading that a server might make, refuses where one of them is denied, and
sends what it lets through byte for byte; dot segments in any spelling are 400.
"""

import pytest

from tests.attacks.callers import FENCED, NARROW
from tests.support.world import World, request

DENIED = [  # for one who may do anything but `access.*` and DELETE
    "GET /access/v1/workspace",
    "GET /access/v1/workspace/",
    "GET /Access/v1/WORKSPACE",
    "GET /%61ccess/v1/workspace",
    "GET /access%2Fv1%2Fworkspace",
    "GET /access%2fv1/workspace",
    "HEAD /access/v1/workspace",
    "DELETE /silo/v1/entries/1",
    "DELETE /",
]
OUTSIDE = [  # for one who may use `silo.entries.*` alone
    "GET /SILO/v1/entries",
    "GET /silo/v1/entries%2F1%2Fmeta",
    "GET /silo/v1/entries/any-name",
    "GET /silo/v1",
    "GET /access/v1/workspace?x=/silo/v1/entries",
    "GET /",
]
RESOLVED = [
    "/silo/v1/entries/../../../access/v1/workspace",
    "/silo/v1/entries/%2e%2e/access",
    "/silo/v1/entries/..%2faccess",
    "/silo/v1/entries/%252e%252e/access",
    "/silo/v1/entries/./x",
    "/silo/v1/entries/%2e%2e%2faccess",
    "/silo/v1/entries//access",
    "/silo/v1/entries/a%2f%2fb",
    "/silo/v1/entries\\..\\access",
    "/silo/v1/entries/..;/access",
    "/silo/v1/entries/%00",
    "/silo/v1/entries/%c0%ae%c0%ae/access",
]


@pytest.mark.parametrize("line", DENIED)
def test_a_denied_operation_in_disguise(world: World, line: str) -> None:
    """403 in every spelling, and the origin sees nothing."""
    reply = world.exchange(request(line, token=FENCED), line.split(maxsplit=1)[0])
    assert (reply.status, reply.get("x-gateway-error")) == (403, "operation_denied")
    assert not world.origin.requests


@pytest.mark.parametrize("line", OUTSIDE)
def test_what_only_looks_allowed(world: World, line: str) -> None:
    """Other letters, a hidden slash or a query make no path an allowed one."""
    reply = world.exchange(request(line, token=NARROW), line.split(maxsplit=1)[0])
    assert (reply.status, reply.get("x-gateway-error")) == (403, "operation_denied")
    assert not world.origin.requests


@pytest.mark.parametrize("target", RESOLVED)
def test_a_path_that_servers_resolve(world: World, target: str) -> None:
    """400, whoever asks."""
    world.refused(request(f"GET {target}", token=NARROW), 400, close=False)


def test_an_entry_whose_key_holds_a_slash(world: World) -> None:
    """And what is lawful goes through, byte for byte."""
    _, seen = world.passed(request("GET /silo/v1/entries/key/a%2Fb", token=NARROW))
    assert seen.target == b"/silo/v1/entries/key/a%2Fb"
