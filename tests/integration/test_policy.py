"""Which operations a caller may use, judged on what the origin will read."""

from collections.abc import Iterator

import pytest

from tests.support.gateway import token_hash
from tests.support.world import World, request

TOKENS = {name: f"igw_sentinel-token-of-{name}-000000000000000" for name in
          ("narrow", "fenced", "watched")}  # fmt: skip
CALLERS: dict[str, dict[str, object]] = {
    "narrow": {"allow": ["silo.entries.*", "transform.jobs.create", "GET /access/**"]},
    "fenced": {"deny": ["access.*", "DELETE /**", "GET /silo/v1/secret"]},
    "watched": {"allow": ["utils.ping"], "deny": ["access.*"], "enforce": False},
}


@pytest.fixture(scope="module")
def _ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    callers = {
        name: {"tokens": [token_hash(TOKENS[name])], "issuers": [], "tenants": ["acme"], **rules}
        for name, rules in CALLERS.items()
    }
    with World(tmp_path_factory.mktemp("ruled"), {"callers": callers}) as made:
        yield made


@pytest.fixture
def ruled(_ruled: World) -> Iterator[World]:
    """A gateway whose callers have rules."""
    yield _ruled
    _ruled.check_invariants()


DECISIONS = {
    "narrow": {
        "GET /silo/v1/entries": 200,
        "HEAD /silo/v1/entries": 200,
        "GET /silo/v1/entries/": 200,
        "GET /silo/v1/entries?x=/access": 200,
        "POST /silo/v1/entries": 200,
        "GET /silo/v1/entries/key/a%2Fb": 200,
        "PUT /transform/v1/jobs/347c5b04-cde2-11ed-afa1-0242ac120002": 200,
        "PUT /transform/v1/jobs/1": 403,
        "GET /access/v1/workspace": 200,
        "GET /access": 200,
        "PATCH /access/v1/workspace": 403,
        "GET /transform/v1/jobs/1": 403,
        "DELETE /silo/v1/entries": 403,
        "GET /silo/v1/gobl/build": 403,
        "GET /silo/v1": 403,
        "GET /": 403,
    },
    "fenced": {
        "GET /silo/v1/entries": 200,
        "GET /unknown": 403,
        "GET /access/v1/workspace": 403,
        "GET /access/v1/workspace/": 403,
        "DELETE /silo/v1/spool/1": 403,
        "DELETE /": 403,
        "HEAD /silo/v1/secret": 403,
        "GET /silo/v1/SECRET": 403,
        "GET /silo/v1/secrets": 403,
    },
    "watched": {
        "GET /utils/v1/ping": 200,
        "GET /silo/v1/entries": 200,
        "GET /access/v1/workspace": 403,
    },
}


@pytest.mark.parametrize(
    ("caller", "line"), [(caller, line) for caller, lines in DECISIONS.items() for line in lines]
)
def test_decisions(ruled: World, caller: str, line: str) -> None:
    """What is allowed arrives byte for byte; what is refused is 403 and goes nowhere."""
    status = DECISIONS[caller][line]
    method, target = line.split(" ", 1)
    reply = ruled.exchange(request(line, token=TOKENS[caller]), method)
    assert reply.status == status
    expected = {200: None, 403: "operation_denied"}[status]
    assert reply.get("x-gateway-error") == expected
    assert [seen.target for seen in ruled.origin.requests] == [target.encode()] * (status == 200)


def test_would_deny_is_told(ruled: World) -> None:
    """`enforce = false` lets through what `allow` would refuse, logs it and counts it."""
    before = ruled.gateway.metric("would_deny_total", caller="watched")
    line = "GET /silo/v1/entries"
    ruled.exchange(request(line, "X-Request-Id: watched-1", token=TOKENS["watched"]))
    assert ruled.gateway.metric("would_deny_total", caller="watched") == before + 1
    assert ruled.gateway.exchange("watched-1")["would_deny"] is True


def test_order_of_checks(ruled: World) -> None:
    """Tenant before policy before size: the first that fails answers."""
    raw = request("PATCH /access/v1/workspace", "X-Invopop-Tenant: globex",
                  "Content-Length: 99999999999", token=TOKENS["narrow"])  # fmt: skip
    assert ruled.exchange(raw).get("x-gateway-error") == "tenant_denied"
    raw = request("PATCH /access/v1/workspace", "Content-Length: 99999999999",
                  token=TOKENS["narrow"])  # fmt: skip
    assert ruled.exchange(raw).get("x-gateway-error") == "operation_denied"
    raw = request("POST /silo/v1/entries", "Content-Length: 99999999999", token=TOKENS["narrow"])
    assert ruled.exchange(raw).get("x-gateway-error") == "body_too_large"
    raw = request("POST /silo/v1/entries", "Via: 1.1 invopop-gateway", token="wrong")
    assert ruled.exchange(raw).get("x-gateway-error") == "loop_detected"
    raw = request("POST /silo//entries", "Via: 1.1 invopop-gateway", token="wrong")
    assert ruled.exchange(raw).get("x-gateway-error") == "bad_request"
