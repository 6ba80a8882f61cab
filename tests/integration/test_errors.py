"""Every error of the gateway's own, in its full shape: told apart from Invopop's at a glance."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.caller import Reply
from tests.support.world import TOK_S, World, fields, request

BROKEN_VAULT = {
    "tenants": {
        "acme": {"key": {"env": "TEST_KEY_A"}},
        "globex": {"key": {"env": "TEST_KEY_B"}},
        "keyless": {"key": {"env": "TEST_KEY_NOBODY_SET"}},
    }
}
CHANGES = {
    "vault": {"strict": False},
    "limits": {"requests_per_second": 0.0},
    "upstream": {"read_timeout": 0.6, "connect_timeout": 0.6},
    "callers": {"shared": {"tenants": ["acme", "globex", "keyless"]}},
}


@pytest.fixture(scope="module")
def _frail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("frail"), CHANGES, BROKEN_VAULT) as made:
        yield made


@pytest.fixture
def frail(_frail: World) -> Iterator[World]:
    """A gateway with one tenant whose key is unavailable, and short patience with its upstream."""
    yield _frail
    _frail.check_invariants()


def whole_shape(reply: Reply, status: int, key: str, proxy_status: str) -> None:
    """All members and headers of an error, and nothing in it that it should not say."""
    assert (reply.status, reply.complete) == (status, True), reply
    assert reply.get("content-type") == "application/problem+json"
    assert reply.get("x-gateway-error") == key
    assert reply.get("proxy-status") == f"invopop-gateway; error={proxy_status}"
    problem = reply.json()
    ours, invopops = {"type", "title", "status", "detail", "request_id"}, {"key", "code", "message"}
    assert set(problem) == ours | invopops
    assert (problem["status"], problem["key"], problem["code"]) == (status, key, key)
    assert problem["request_id"] == reply.get("x-request-id")
    assert problem["message"]
    told = str(problem)
    if key == "misdirected":  # names the upstream, so that a client's author sees which it is
        told = re.sub(r"The upstream is localhost:[0-9]+: ", "", told)
    for forbidden in ("localhost", "127.0.0.1", "/tmp", ".py", "Error(", "globex", "Traceback"):
        assert forbidden not in told


SENT: dict[str, tuple[bytes, int, str]] = {
    "bad_request": (request("GET /a//b"), 400, "http_request_error"),
    "unauthenticated": (request("GET /x", token="wrong"), 401, "http_request_denied"),
    "tenant_required": (request("GET /x", token=TOK_S), 403, "http_request_denied"),
    "tenant_denied": (request("GET /x", "X-Invopop-Tenant: globex"), 403, "http_request_denied"),
    "method_not_allowed": (request("TRACE /x"), 405, "http_request_error"),
    "body_too_large": (
        request("POST /x", "Content-Length: 99999999999"), 413, "http_request_error",
    ),
    "misdirected": (request("GET http://evil.com/x"), 421, "http_request_error"),
    "headers_too_large": (
        request("GET /x", "X: " + "v" * 40_000), 431, "http_request_error",
    ),
    "loop_detected": (
        request("GET /x", "Via: 1.1 invopop-gateway"), 508, "proxy_loop_detected",
    ),
    "key_unavailable": (
        request("GET /x", "X-Invopop-Tenant: keyless", token=TOK_S), 503,
        "proxy_configuration_error",
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", SENT)
def test_refusals(frail: World, key: str) -> None:
    """Errors that need nothing but the request."""
    raw, status, proxy_status = SENT[key]
    before = frail.gateway.metric("rejected_total", reason=key)
    reply = frail.exchange(raw)
    whole_shape(reply, status, key, proxy_status)
    assert not frail.origin.requests
    assert frail.gateway.metric("rejected_total", reason=key) == before + 1
    if status == 503:
        assert int(str(reply.get("retry-after"))) >= 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request("POST /x", "Expect: a-pony", "Content-Length: 1"), 417),
        (request("POST /x", "Transfer-Encoding: gzip, chunked"), 501),
        (request("GET /x").replace(b"HTTP/1.1", b"HTTP/2.0"), 505),
    ],
)
def test_other_statuses_of_a_bad_request(frail: World, raw: bytes, status: int) -> None:
    """One key, several statuses."""
    whole_shape(frail.exchange(raw), status, "bad_request", "http_request_error")


def test_407(frail: World) -> None:
    """An HTTP proxy's client is asked as a proxy asks."""
    reply = frail.exchange(request("GET http://localhost/x", token=None))
    whole_shape(reply, 407, "unauthenticated", "http_request_denied")
    assert reply.get("proxy-authenticate") == 'Basic realm="invopop-gateway"'
    assert not reply.all("www-authenticate")


def test_401(frail: World) -> None:
    """Anyone else is asked for a Bearer token."""
    reply = frail.get("/x", token="wrong")
    assert reply.all("www-authenticate") == ["Bearer"]


def test_caller_unknown(frail: World) -> None:
    """A good token of nobody we know."""
    token = frail.issuer.token(frail.issuer.claims("nobody"))
    whole_shape(frail.get("/x", token=token), 403, "caller_unknown", "http_request_denied")


def _garbage(world: World) -> None:
    world.origin.answer(b"HTTP/1.1 999 X\r\n\r\n")


def _silence(world: World) -> None:
    world.origin.silent()


def _refuse_key(world: World) -> None:
    for _ in range(3):
        world.origin.answer(fields("401 Unauthorized", "Content-Length: 0"))


UPSTREAM: dict[str, tuple[Callable[[World], None], int, str]] = {
    "upstream_protocol_error": (_garbage, 502, "http_protocol_error"),
    "upstream_timeout": (_silence, 504, "http_response_timeout"),
    "key_rejected": (_refuse_key, 502, "proxy_configuration_error"),
}


@pytest.mark.parametrize("key", UPSTREAM)
def test_upstream_failures(frail: World, key: str) -> None:
    """Errors that Invopop, or the way to it, causes."""
    prepare, status, proxy_status = UPSTREAM[key]
    prepare(frail)
    raw = request("POST /x", "Content-Length: 0")
    whole_shape(frail.exchange(raw, "POST"), status, key, proxy_status)


def test_unreachable(frail: World) -> None:
    """Nobody listens there."""
    with frail.origin.away():
        reply = frail.exchange(request("POST /x", "Content-Length: 0"), "POST", timeout=10)
    whole_shape(reply, 502, "upstream_unreachable", "destination_unavailable")


def test_head_has_no_body(frail: World) -> None:
    """An error to a HEAD has its headers only."""
    reply = frail.exchange(request("HEAD /x", token="wrong"), "HEAD")
    assert (reply.status, reply.body, reply.complete) == (401, b"", True)
    assert reply.get("x-gateway-error") == "unauthenticated"


def test_rate_limited(tmp_path: Path) -> None:
    """Past a tenant's rate: 429 with Retry-After; another tenant is not concerned."""
    changes = {"limits": {"requests_per_second": 0.5, "burst": 3}}
    with World(tmp_path, changes) as world:
        replies = [world.get("/x") for _ in range(4)]
        last = replies[-1]
        whole_shape(last, 429, "rate_limited", "http_request_denied")
        assert 0 < int(str(last.get("retry-after"))) <= 10
