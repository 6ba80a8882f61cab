"""Errors: one key, one status, one shape."""

import json
import re
from typing import get_args

import pytest

from gateway.errors import (
    KINDS,
    REMEDIES,
    CallerError,
    ConfigurationError,
    ErrorKey,
    Problem,
    UpstreamError,
    error_response,
    tenant_denied,
)

# RFC 9209 2.3: the registered error types that are in use here.
REGISTERED = {
    "connection_limit_reached", "destination_unavailable", "http_protocol_error",
    "http_request_denied", "http_request_error", "http_response_timeout",
    "proxy_configuration_error", "proxy_internal_error", "proxy_loop_detected",
    "tls_protocol_error",
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(KINDS))
def test_an_error_about_a_file_host_does_not_say_invopop(key: ErrorKey) -> None:
    """Title and text name that host, if they name an upstream; the title not which it is."""
    error = CallerError(key)
    error.file_host = "storage.invopop.com"
    told = json.loads(error_response(error, "req-1")[1])
    for member in ("title", "detail", "message"):
        text = told[member].replace("X-Invopop-Tenant", "")
        assert not re.search(r"\bInvopop", text), text
        assert text[0].isupper()
    assert "storage" not in told["title"]
    if "Invopop" in REMEDIES[key].replace("X-Invopop-Tenant", ""):
        assert "he file host storage.invopop.com" in told["detail"]


@pytest.mark.parametrize("key", sorted(KINDS))
def test_every_error_has_the_documented_shape(key: ErrorKey) -> None:
    """RFC 9457 and Invopop's own members, told apart from Invopop's by two headers."""
    headers, body = error_response(CallerError(key, "Do this."), "req-1")
    fields = dict(headers)
    told = json.loads(body)
    assert told == {
        "type": f"urn:invopop-gateway:error:{key}",
        "title": KINDS[key].title,
        "status": KINDS[key].status,
        "detail": "Do this.",
        "request_id": "req-1",
        "key": key,
        "code": key,
        "message": "Do this.",
    }
    fixed = {
        b"content-type": b"application/problem+json",
        b"content-length": str(len(body)).encode(),
        b"cache-control": b"no-store",
        b"x-gateway-error": key.encode(),
        b"x-request-id": b"req-1",
        b"via": b"1.1 invopop-gateway",
    }
    assert fixed.items() <= fields.items()
    name, _, error = fields[b"proxy-status"].decode().partition("; error=")
    assert (name, error in REGISTERED) == ("invopop-gateway", True)


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (CallerError("unauthenticated"), (b"www-authenticate", b"Bearer")),
        (
            CallerError("unauthenticated", status=407),
            (b"proxy-authenticate", b'Basic realm="invopop-gateway"'),
        ),
        (
            CallerError("method_not_allowed"),
            (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ),
        (CallerError("rate_limited", headers=[(b"retry-after", b"3")]), (b"retry-after", b"3")),
    ],
)
def test_what_a_status_requires_is_there(error: CallerError, header: tuple[bytes, bytes]) -> None:
    """RFC 9110: 401, 407 and 405 each must carry their field; a 429 says when to come back."""
    assert header in error_response(error, "r")[0]


@pytest.mark.parametrize("key", get_args(ErrorKey))
def test_every_error_says_what_to_do(key: ErrorKey) -> None:
    """Also where whoever raised it had nothing more exact to say: in whole sentences."""
    answer = json.loads(error_response(CallerError(key), "r")[1])
    assert answer["detail"] == answer["message"]
    assert re.fullmatch(r"[A-Z].*\.", answer["detail"])


def test_the_tables_have_a_row_for_each_key() -> None:
    """The closed list in the types is the one that answers are made from."""
    assert set(KINDS) == set(REMEDIES) == set(get_args(ErrorKey))


def test_a_denied_tenant_has_one_answer() -> None:
    """Whatever the cause, which the log alone is told."""
    unsaid, said = tenant_denied(), tenant_denied("not_this_callers")
    assert (unsaid.cause, said.cause) == ("", "not_this_callers")
    assert unsaid.detail == said.detail == "This caller may not act for that tenant."


def test_an_upstream_error_says_whether_anything_was_sent() -> None:
    """`sent` is the licence to retry, `kind` the metric's label."""
    error = UpstreamError("upstream_unreachable", "connect_refused", sent=False)
    assert (error.status, error.kind, error.sent) == (502, "connect_refused", False)
    assert (
        error.detail,
        UpstreamError("key_rejected", "closed", sent=True, detail="y").detail,
    ) == (
        "",
        "y",
    )


def test_a_problem_reads_as_one_line() -> None:
    """File, key path, what was found and what was expected, in this order."""
    found = Problem("gateway.toml", "listen.port", "70000", "0 to 65535")
    assert str(found) == "gateway.toml: listen.port: found 70000; expected 0 to 65535"
    assert str(found._replace(key="")) == "gateway.toml: found 70000; expected 0 to 65535"
    error = ConfigurationError([found], draft="what is left")
    assert (error.problems, error.draft) == ((found,), "what is left")
    assert str(error) == "1 problem(s) in the configuration"
