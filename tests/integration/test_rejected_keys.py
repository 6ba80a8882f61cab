"""A key that Invopop refuses: the tenant's other one is tried once, and remembered if it works."""

from collections.abc import Iterator

import pytest

from tests.support.gateway import eventually, token_hash
from tests.support.tls_server import Seen
from tests.support.world import KEY_A, KEY_B, VAULT, World, fields, request

TOKEN = "igw_sentinel-token-of-rotating-000000000000"
TENANTS = [f"turning-{number}" for number in range(11)]
CHECK = b"/access/v1/workspace"
# Each tenant's memory of which key worked is its own, so each case has its own tenant.
ROTATING = {"key": {"env": "TEST_KEY_A"}, "previous": {"env": "TEST_KEY_B"}}
REFUSED = fields("401 Unauthorized", "WWW-Authenticate: Bearer", "Content-Length: 0")
OK = fields("200 OK", "Content-Length: 2") + b"ok"


@pytest.fixture(scope="module")
def _turning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    vault = {"tenants": {**VAULT["tenants"], **dict.fromkeys(TENANTS, ROTATING)}}
    caller = {"tokens": [token_hash(TOKEN)], "issuers": [], "tenants": ["turning-*"]}
    changes = {"callers": {"rotating": caller}}
    with World(tmp_path_factory.mktemp("turning"), changes, vault) as made:
        yield made


@pytest.fixture
def turning(_turning: World) -> Iterator[World]:
    """A gateway whose tenants are between two keys."""
    yield _turning
    _turning.check_invariants()


def for_tenant(number: int, line: str, *lines: str, body: bytes = b"") -> bytes:
    """A request on behalf of one of the tenants."""
    return request(line, f"X-Invopop-Tenant: {TENANTS[number]}", *lines, token=TOKEN, body=body)


def keys(seen: list[Seen]) -> list[str]:
    """The keys that the origin was shown with requests, in order."""
    return [key_of(one) for one in seen if one.target != CHECK]


def key_of(seen: Seen) -> str:
    """The key that was shown."""
    return str(seen.get("authorization")).removeprefix("Bearer ")


def test_other_key_is_tried(turning: World) -> None:
    """401 on the first key, then the other one: the caller sees only what that brought."""
    turning.origin.answer(REFUSED)
    turning.origin.answer(OK)
    reply = turning.exchange(for_tenant(0, "GET /x"))
    assert (reply.status, reply.body, reply.get("x-gateway-attempts")) == (200, b"ok", "2")
    assert keys(turning.origin.requests) == [KEY_A, KEY_B]


def test_post_goes_out_again_with_the_other_key(turning: World) -> None:
    """The one case in which a POST is sent twice, whole both times."""
    turning.origin.answer(REFUSED)
    turning.origin.answer(OK)
    raw = for_tenant(1, "POST /x", "Content-Length: 3", body=b"abc")
    assert turning.exchange(raw, "POST").status == 200
    assert [seen.body for seen in turning.origin.requests] == [b"abc", b"abc"]
    assert keys(turning.origin.requests) == [KEY_A, KEY_B]


BEGINNING = b"Z" * 65_536  # without so much of a body nothing is sent; more could not be replayed


@pytest.mark.parametrize(
    ("tenant", "framing", "first", "rest"),
    [
        (8, "Content-Length: 65539", BEGINNING, b"def"),
        (
            9,
            "Transfer-Encoding: chunked",
            b"10000\r\n%b\r\n" % BEGINNING,
            b"3\r\ndef\r\n0\r\n\r\n",
        ),
    ],
    ids=["sized", "chunked"],
)
def test_refused_while_the_body_is_still_coming(
    turning: World, tenant: int, framing: str, first: bytes, rest: bytes
) -> None:
    """What had come goes out again, and the rest behind it as it comes: once, and in order."""
    turning.origin.answer_at_head(REFUSED)
    connection = turning.connect()
    connection.send(for_tenant(tenant, "POST /x", framing, body=first))
    turning.origin.eventually_started(2)
    connection.send(rest)
    assert connection.reply("POST").status == 200
    refused, served = turning.origin.requests
    assert (refused.complete, served.body) == (False, BEGINNING + b"def")
    assert keys([refused, served]) == [KEY_A, KEY_B]


def test_a_refusal_without_end_holds_nothing(turning: World) -> None:
    """The rest of the 401 is not waited for, and its connection is given up."""
    with turning.origin.holding(fields("401 No", "Content-Length: 10") + b"abc", b""):
        assert turning.exchange(for_tenant(10, "GET /x")).status == 200
        refused, served = [one for one in turning.origin.requests if one.target == b"/x"]
        eventually(lambda: refused.connection not in turning.origin.open_connections())
    assert keys([refused, served]) == [KEY_A, KEY_B]


def test_other_tenants_are_not_concerned(turning: World) -> None:
    """One tenant's refusal changes nothing for another with the same keys."""
    turning.origin.answer(REFUSED)
    assert turning.exchange(for_tenant(5, "GET /x")).status == 200
    assert turning.exchange(for_tenant(6, "GET /x")).status == 200
    assert keys(turning.origin.requests) == [KEY_A, KEY_B, KEY_A]
