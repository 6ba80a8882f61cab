"""Policy bypass by spelling: every way to write a forbidden path, made rather than listed.

The attacker's token may not do something. They write its path in all ways that some server takes
for the same: escaped once or twice, in other letters, with `;` parameters, with blanks behind a
segment, with `%2F` for a slash, and in combinations of these.

A guard that knows some of these spellings is passed with the next one: Spring's and Tomcat's rules
with `;` (CVE-2020-17523 in Apache Shiro was a blank), Jetty's with `%252F`. The gateway judges
every reading; and whoever has an `allow` or a `deny` reaches nothing that is no known operation.
"""

import pytest

from tests.attacks.callers import EXCEPT_FILES, FENCED, FETCHER, READER
from tests.support.spellings import spellings
from tests.support.world import TOK_A, World, request

ENTRY = "/silo/v1/entries/347c5b04-cde2-11ed-afa1-0242ac120002"
FILE = f"{ENTRY}/files/347c5b04-cde2-11ed-afa1-0242ac120002"

FORBIDDEN = {
    "a denied service": (FENCED, "GET", "/access/v1/workspace"),
    "a denied operation among others": (EXCEPT_FILES, "GET", FILE),
    "a search, for one who may fetch": (FETCHER, "GET", "/silo/v1/entries/query"),
    "its neighbour's list": (FETCHER, "GET", f"{ENTRY}/states"),
    "credentials, for one who may do anything": (TOK_A, "GET", "/access/v1/enrollment"),
    "credentials, for one who may read": (READER, "GET", "/access/v1/enrollment"),
    "authorizing": (TOK_A, "POST", "/access/v1/enrollment/authorize"),
}


def refused_all(world: World, token: str, method: str, paths: list[str]) -> None:
    """All are 403, or 400 where they hold an empty or dot segment, and the origin sees none."""
    connection = world.connect()
    for path in paths:
        connection.send(request(f"{method} {path}", token=token))
        reply = connection.reply(method)
        error = reply.get("x-gateway-error")
        assert (reply.status, error) in {(403, "operation_denied"), (400, "bad_request")}, path
    assert not world.origin.requests


@pytest.mark.parametrize("case", FORBIDDEN)
def test_every_spelling(world: World, case: str) -> None:
    """Hundreds of spellings, for each kind of rule."""
    token, method, path = FORBIDDEN[case]
    made = spellings(path)
    assert len(made) > 500
    refused_all(world, token, method, [path, *made])


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_and_all_that_lies_below(world: World, method: str) -> None:
    """A denied operation's path is denied to other methods, and so is what is unknown below it."""
    below = [f"{FILE}/x", f"{FILE}/x/y", f"{ENTRY}/files", f"{ENTRY}/files/any-name"]
    refused_all(world, EXCEPT_FILES, method, [FILE, *below, *(path.upper() for path in below)])


@pytest.mark.parametrize(
    ("token", "line"),
    [
        (FENCED, "GET /brand/new"),
        (FENCED, "DELETE /silo/v1/entries"),
        (FENCED, "GET /silo/v1/entries/not-a-uuid"),
        (FETCHER, "GET /brand/new"),
        (FETCHER, "GET /silo/v1/entries/not-a-uuid"),
        (TOK_A, "DELETE /access/v1/enrollment/x"),
    ],
)
def test_what_is_no_known_operation(world: World, token: str, line: str) -> None:
    """A caller with rules does not reach it, unless by a pattern that its operator wrote."""
    method, path = line.split()
    refused_all(world, token, method, [path])


@pytest.mark.parametrize(
    ("token", "line"),
    [
        (FETCHER, f"GET {ENTRY}"),
        (FETCHER, "GET /silo/v1/entries/key/INV%2F2027;1%20a"),
        (FENCED, f"GET {FILE}"),
        (EXCEPT_FILES, "DELETE /brand/new"),
        (READER, "GET /silo/v1/entries/query?schema=bill/invoice"),
        (TOK_A, "GET /brand/new;x=1/%41%20"),
    ],
)
def test_what_is_allowed_passes_byte_for_byte(world: World, token: str, line: str) -> None:
    """No disguise is needed for what one may do."""
    _, seen = world.passed(request(line, token=token))
    assert seen.target == line.split()[1].encode()
