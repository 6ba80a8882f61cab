"""A 401 from Invopop condemns a key only if Invopop refuses that key elsewhere, too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway import eventually, token_hash
from tests.support.tls_server import Seen
from tests.support.world import KEY_A, KEY_B, VAULT, World, fields, request

TOKEN = "igw_sentinel-token-of-rotating-000000000000"
CHECK = b"/access/v1/workspace"
REFUSED = fields("401 Unauthorized", "WWW-Authenticate: Bearer", "Content-Length: 0")
ALLOW = ["* /**", "access.enrollment.authorize", "access.enrollment.fetch"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A gateway whose tenant is between two keys; Invopop's word on a key is remembered by it."""
    tenant = {"key": {"env": "TEST_KEY_A"}, "previous": {"env": "TEST_KEY_B"}}
    vault = {"tenants": {**VAULT["tenants"], "rotated": tenant}}
    caller = {
        "tokens": [token_hash(TOKEN)], "issuers": [], "tenants": ["rotated"], "allow": ALLOW,
    }  # fmt: skip
    with World(tmp_path, {"callers": {"rotating": caller}}, vault) as made:
        yield made
        made.check_invariants()


def asking(line: str, *lines: str, body: bytes = b"") -> bytes:
    """A request on behalf of the tenant."""
    return request(line, *lines, token=TOKEN, body=body)


def keys(seen: list[Seen]) -> list[str]:
    """The keys that the origin was shown with requests, checks of a key aside, in order."""
    return [
        str(one.get("authorization")).removeprefix("Bearer ") for one in seen if one.target != CHECK
    ]


def rejections(world: World) -> float:
    """How often a key of the tenant was condemned."""
    return sum(
        world.gateway.metric("key_rejected_total", tenant="rotated", slot=slot)
        for slot in ("key", "previous")
    )


def test_body_that_cannot_be_replayed(world: World) -> None:
    """A body beyond what is kept is not sent again: 502, for the caller's own token was fine."""
    world.origin.refuse(KEY_A)
    size = 200_000
    raw = asking("POST /x", f"Content-Length: {size}", body=b"Z" * size)
    reply = world.exchange(raw, "POST")
    assert (reply.status, reply.get("x-gateway-error")) == (502, "key_rejected")
    assert keys(world.origin.requests) == [KEY_A]


def test_both_keys_refused(world: World) -> None:
    """Two refusals end it: Invopop has said of either key that it takes it for nothing."""
    rejected = rejections(world)
    world.origin.refuse(KEY_A, KEY_B)
    reply = world.exchange(asking("GET /x"))
    assert (reply.status, reply.get("x-gateway-error")) == (502, "key_rejected")
    assert not reply.all("www-authenticate")
    assert keys(world.origin.requests) == [KEY_A, KEY_B]
    assert rejections(world) == rejected + 2


def test_working_key_is_remembered(world: World) -> None:
    """The next request starts with the key that worked, once Invopop has condemned the other."""
    world.origin.refuse(KEY_A)
    assert world.exchange(asking("GET /x")).status == 200
    eventually(lambda: rejections(world) == 1)
    assert world.exchange(asking("GET /x")).status == 200
    assert keys(world.origin.requests) == [KEY_A, KEY_B, KEY_B]


def test_a_401_about_the_request_passes_through(world: World) -> None:
    """Invopop takes the key elsewhere: its 401 is the caller's, whole, and no key is condemned."""
    said = fields("401 Unauthorized", "WWW-Authenticate: X", "Content-Length: 4") + b"what"
    for status in (said, REFUSED):  # the second is the other key's, which is no better
        world.origin.answer(status)
    reply = world.exchange(asking("GET /x"))
    assert (reply.status, reply.body, reply.get("www-authenticate")) == (401, b"what", "X")
    assert reply.get("x-gateway-error") is None
    assert keys(world.origin.requests) == [KEY_A, KEY_B]
    assert rejections(world) == 0
    assert world.exchange(asking("GET /x")).status == 200
    assert keys(world.origin.requests)[-1] == KEY_A


def test_harmless_401s_do_not_bring_back_a_revoked_key(world: World) -> None:
    """Whatever one caller is refused, another's POST goes out with the good key, first."""
    world.origin.refuse(KEY_B)
    assert world.exchange(asking("GET /x")).status == 200
    for _ in range(3):
        world.origin.answer(REFUSED)
        assert world.exchange(asking("GET /refused")).status == 401
        world.origin.forget()
        world.origin.refuse(KEY_B)
        size = 200_000  # cannot be replayed: with the revoked key it would fail
        raw = asking("POST /x", f"Content-Length: {size}", body=b"Z" * size)
        assert world.exchange(raw, "POST").status == 200
        assert keys(world.origin.requests) == [KEY_A]


@pytest.mark.parametrize(
    "line",
    [
        "GET /access/v1/orgs",
        "POST /access/v1/enrollment/authorize",
        "GET /access/v1/enrollment",
        "GET /access/v1/orgs/?page=2",
        "POST /%61ccess/v1/orgs",
        "POST /Access/v2/orgs;x/y",
        "PUT /access%2Fv1%2Forgs",
        "POST /access/v1/%25%36%66rgs%3Fx",
    ],
)
def test_what_is_not_about_the_key_is_sent_once(world: World, line: str) -> None:
    """Their 401 speaks of other credentials: no other key is tried, and none is condemned."""
    world.origin.answer(REFUSED)
    raw = asking(line, "Content-Length: 2", body=b"{}")
    reply = world.exchange(raw, line.split(maxsplit=1)[0])
    assert (reply.status, reply.get("x-gateway-error")) == (401, None)
    assert keys(world.origin.requests) == [KEY_A]
    assert rejections(world) == 0


def test_a_revoked_key_is_found_out_there_too(world: World) -> None:
    """If Invopop refuses the key everywhere, it is condemned; the next request takes the other."""
    world.origin.refuse(KEY_A)
    reply = world.exchange(asking("GET /access/v1/orgs"))
    assert (reply.status, reply.get("x-gateway-error")) == (502, "key_rejected")
    assert world.exchange(asking("GET /access/v1/orgs")).status == 200
    assert keys(world.origin.requests) == [KEY_A, KEY_B]


def test_a_check_without_an_answer_condemns_nothing(world: World) -> None:
    """Invopop does not answer the question about the key: the caller gets Invopop's 401."""
    for answer in (REFUSED, REFUSED, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"):
        world.origin.answer(answer)
    assert world.exchange(asking("GET /x")).status == 401
    assert rejections(world) == 0


def test_other_statuses_are_invopops(world: World) -> None:
    """403 and 404 are answers to the request, not verdicts on the key."""
    for status in ("403 Forbidden", "404 Not Found"):
        world.origin.answer(fields(status, "Content-Length: 0"))
        assert world.exchange(asking("GET /x")).status == int(status[:3])
    assert keys(world.origin.requests) == [KEY_A, KEY_A]
