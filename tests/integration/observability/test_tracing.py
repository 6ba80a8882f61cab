"""Traces of the running program, as a real OTLP receiver decodes them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.collector import Collector
from tests.support.gateway import eventually
from tests.support.traced_gateway import PARENT, SPAN_ID, TRACE_ID, Traced
from tests.support.world import KEY_B, SECRETS, TOK_A, TOK_B, TOK_S, fields, request

UNSAMPLED = PARENT[:-2] + "00"
QUERY = "sentinel-value-of-a-query"
BUSY = fields("503 Busy", "Content-Length: 0")
REFUSED = fields("401 Unauthorized", "Content-Length: 0")
OWN = "invopop_gateway."


@pytest.fixture(scope="module")
def _traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    with Collector() as collector, Traced(tmp_path_factory.mktemp("traced"), collector) as made:
        yield made


@pytest.fixture
def traced(_traced: Traced) -> Iterator[Traced]:
    """One that traces every request, but those whose caller says no."""
    yield _traced
    _traced.check_invariants()


def test_the_way_of_a_request_is_a_tree(traced: Traced) -> None:
    """The caller's span, ours below it, the steps below ours, the attempt named upstream."""
    target = f"GET /silo/v1/entries/5b45453c-cdd0-11ed-afa1-0242ac120002?q={QUERY}"
    sent = (f"traceparent: {PARENT}", "tracestate: vendor=opaque", "X-Request-Id: tree")
    assert traced.exchange(request(target, *sent)).status == 200
    spans = traced.trace("tree")
    assert [*spans] == [
        "GET /silo/v1/entries/{id}", "authenticate", "authorize", "key", "upstream attempt",
    ]  # fmt: skip
    own, *steps, attempt = spans.values()
    assert {span.trace_id for span in spans.values()} == {TRACE_ID}
    assert (own.kind, own.parent_id) == ("SERVER", SPAN_ID)
    assert {span.kind for span in steps} == {"INTERNAL"}
    assert attempt.kind == "CLIENT"
    assert not any(span.failed for span in spans.values())
    ends = [(span.began, span.ended) for span in (*steps, attempt)]
    assert sorted(ends) == ends
    assert all(own.began <= began <= ended <= own.ended for began, ended in ends)
    assert traced.parent_sent() == f"00-{TRACE_ID}-{attempt.span_id}-01"
    assert traced.origin.requests[-1].get("tracestate") == "vendor=opaque"


def test_attributes_are_those_of_the_conventions(traced: Traced) -> None:
    """HTTP's by their standard names; caller, tenant and operation by ours."""
    traced.exchange(request("POST /silo/v1/entries", "X-Request-Id: names", "Content-Length: 0"))
    spans = traced.trace("names")
    rule = spans["POST /silo/v1/entries"].attributes.pop(f"{OWN}rule")
    assert rule.startswith("callers.billing")
    assert spans["POST /silo/v1/entries"].attributes == {
        "http.request.method": "POST", "http.route": "/silo/v1/entries",
        "http.response.status_code": 200, "client.address": "127.0.0.1",
        f"{OWN}request_id": "names", f"{OWN}caller": "billing", f"{OWN}tenant": "acme",
        f"{OWN}operation": "silo.entries.create", f"{OWN}attempts": 1,
    }  # fmt: skip
    host, _, port = traced.origin.authority.partition(":")
    assert spans["upstream attempt"].attributes == {
        "http.request.method": "POST", "server.address": host, "server.port": int(port),
        "http.response.status_code": 200,
    }  # fmt: skip
    resource = traced.collector.resource()
    assert resource["service.name"] == "invopop-gateway"
    assert resource["service.version"]


def test_a_trace_that_begins_here_stays_here(traced: Traced) -> None:
    """Without a context from the caller none is sent up; the log and the exemplars have its id."""
    traced.get("/utils/v1/ping", "X-Request-Id: fresh")
    own, *_ = traced.trace("fresh").values()
    assert own.parent_id == ""
    assert traced.parent_sent() is None
    assert traced.gateway.exchange("fresh")["trace_id"] == own.trace_id
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}
    _, exposed = traced.gateway.admin("/metrics", openmetrics)
    assert f'trace_id="{own.trace_id}"'.encode() in exposed


@pytest.mark.parametrize(
    "parent", ["junk", PARENT.upper(), f"00-{'0' * 32}-{SPAN_ID}-01", f"ff{PARENT[2:]}"]
)
def test_an_invalid_context_goes_up_as_it_came(traced: Traced, parent: str) -> None:
    """It is nobody's parent here; a trace of our own begins."""
    request_id = f"junk-{parent[:8]}-{len(parent)}"
    traced.get("/x", f"traceparent: {parent}", f"X-Request-Id: {request_id}")
    own, *_ = traced.trace(request_id).values()
    assert (own.parent_id, traced.parent_sent()) == ("", parent)
    assert own.trace_id not in parent


def test_the_callers_decision_stands(traced: Traced) -> None:
    """What the caller does not trace is not traced here, and passes byte for byte."""
    traced.get("/x", f"traceparent: {UNSAMPLED}", "X-Request-Id: unsampled")
    assert traced.parent_sent() == UNSAMPLED
    assert traced.gateway.exchange("unsampled")["trace_id"] == TRACE_ID
    traced.get("/x", "X-Request-Id: after")
    traced.trace("after")
    assert not [s for s in traced.collector.spans() if "unsampled" in s.attributes.values()]


def test_each_attempt_is_a_span(traced: Traced) -> None:
    """A retry has its own id upstream, its number, and why the one before it failed."""
    traced.origin.answer(BUSY)
    traced.get("/x", f"traceparent: {PARENT}", "X-Request-Id: again")
    spans = traced.trace("again")
    first, second = spans["upstream attempt"], spans["upstream attempt 2"]
    assert (first.failed, first.attributes["error.type"]) == (True, "503")
    assert second.attributes["http.request.resend_count"] == 1
    assert not second.failed
    sent = [seen.get("traceparent") for seen in traced.origin.requests]
    assert sent == [f"00-{TRACE_ID}-{span.span_id}-01" for span in (first, second)]
    assert not spans["GET"].failed


def test_another_key_is_another_attempt(traced: Traced) -> None:
    """Invopop refuses the first key: the second goes out under a span of its own."""
    traced.origin.answer(REFUSED)
    assert traced.get("/x", "X-Request-Id: rotated").status == 200
    spans = traced.trace("rotated")
    assert spans["upstream attempt"].attributes["error.type"] == "401"
    assert spans["upstream attempt 2"].attributes["http.response.status_code"] == 200
    keys = [seen.get("authorization") for seen in traced.origin.requests]
    assert len({*keys}) == 2


@pytest.mark.parametrize(
    ("line", "step", "error"),
    [
        (("GET /x", "igw_nobody"), "authenticate", "unauthenticated"),
        (("GET /x", TOK_S), "authorize", "tenant_required"),
        (("GET /a/../b", TOK_A), "", "bad_request"),
    ],
)
def test_a_refusal_ends_in_its_step(
    traced: Traced, line: tuple[str, str], step: str, error: str
) -> None:
    """The step that refused bears the error; a refused caller is no failure of the server."""
    traced.exchange(request(line[0], f"X-Request-Id: {error}", token=line[1]))
    own, *steps = traced.trace(error).values()
    assert own.name == "GET"
    assert (own.attributes["error.type"], own.failed) == (error, False)
    assert [span.name for span in steps][-1:] == ([step] if step else [])
    assert all(span.attributes.get("error.type") == error for span in steps[-1:])
    assert not traced.origin.requests


def test_a_broken_upstream_is_a_failure(traced: Traced) -> None:
    """The attempt has its kind, the exchange its error, both are failed."""
    traced.origin.answer(b"", "close")
    post = request("POST /x", "X-Request-Id: broken", "Content-Length: 1", body=b"x")
    assert traced.exchange(post, "POST").status == 502
    spans = traced.trace("broken")
    assert (spans["POST"].failed, spans["upstream attempt"].failed) == (True, True)
    assert spans["POST"].attributes["error.type"] == "upstream_protocol_error"
    assert spans["upstream attempt"].attributes["error.type"] in {"closed", "protocol"}


def test_a_caller_that_leaves_ends_its_spans(traced: Traced) -> None:
    """What was in progress ends with the exchange, and says so."""
    traced.origin.silent()
    leaving = traced.connect()
    leaving.send(request("GET /x", "X-Request-Id: left"))
    traced.origin.eventually_started(1)
    leaving.reset()
    spans = traced.trace("left")
    assert spans["GET"].attributes["error.type"] == "caller_left"
    assert spans["upstream attempt"].attributes["error.type"] == "cancelled"
    assert spans["upstream attempt"].ended <= spans["GET"].ended


def test_nothing_secret_in_any_span(traced: Traced) -> None:
    """No key, token or query in a byte that the receiver was sent."""
    traced.get(f"/{TOK_A}?api_key={QUERY}", "X-Request-Id: secret", f"X-Invopop-Tenant: {TOK_S}")
    traced.origin.answer(fields("200 OK", f"X-Echo: {KEY_B}", "Content-Length: 0"))
    traced.get(f"/x?q={QUERY}", "X-Request-Id: echo", token=TOK_B)
    traced.trace("secret")
    traced.trace("echo")
    everything = b"".join(traced.collector.raw)
    assert not [secret for secret in (*SECRETS, QUERY) if secret.encode() in everything]


def test_a_receiver_that_fails_harms_nobody(traced: Traced) -> None:
    """Answers 500, then hangs: requests go on; failure and recovery are logged once each."""
    collector = traced.collector
    collector.status = 500
    traced.get("/x", "X-Request-Id: lost")
    eventually(lambda: traced.gateway.events("trace_export_failed"))
    status, body = traced.gateway.admin("/readyz")
    checks = json.loads(body)["checks"]
    assert (status, checks["traces"]["status"]) == (200, "degraded")
    assert checks["traces"]["reason"] == "the receiver does not take them (status 500)"
    assert traced.gateway.events("trace_export_failed")[0]["reason"] == "status 500"
    assert traced.gateway.metric("spans_dropped_total") >= 2
    collector.status = 200
    collector.gate.clear()
    for n in range(20):
        assert traced.get("/x", f"X-Request-Id: held-{n}").status == 200
    collector.gate.set()
    traced.trace("held-19")
    eventually(lambda: traced.gateway.events("trace_export_recovered"))
    assert json.loads(traced.gateway.admin("/readyz")[1])["checks"]["traces"]["status"] == "ok"
    assert len(traced.gateway.events("trace_export_failed")) == 1


def test_the_share_is_by_chance(tmp_path: Path) -> None:
    """`sample_ratio = 0`: only what the caller traces; then with the caller's id."""
    with Collector() as collector, Traced(tmp_path, collector, sample_ratio=0.0) as made:
        for n in range(20):
            made.get("/x", f"X-Request-Id: none-{n}")
        made.get("/x", f"traceparent: {PARENT}", "X-Request-Id: wanted")
        made.trace("wanted")
        assert {span.trace_id for span in collector.spans()} == {TRACE_ID}
        assert "trace_id" not in made.gateway.exchange("none-0")


def test_a_strangers_context_decides_nothing(tmp_path: Path) -> None:
    """Who is not authenticated forces no trace, prevents none, and joins none; nor names its id."""
    with Collector() as collector, Traced(tmp_path, collector, sample_ratio=0.0) as made:
        for parent in (PARENT, UNSAMPLED):
            refused = request(
                "GET /x", f"traceparent: {parent}", "X-Request-Id: stranger", token="igw_nobody"
            )
            assert made.exchange(refused).status == 401
        made.get("/x", f"traceparent: {PARENT}", "X-Request-Id: wanted")
        made.trace("wanted")
        assert {span.trace_id for span in collector.spans()} == {TRACE_ID}
        assert not [s for s in collector.spans() if "stranger" in s.attributes.values()]
        assert "trace_id" not in made.gateway.exchange("stranger")


# Two methods, because equal refusals within a second share one log line.
@pytest.mark.parametrize(("method", "parent"), [("GET", PARENT), ("DELETE", UNSAMPLED)])
def test_a_refused_strangers_trace_is_ours(traced: Traced, method: str, parent: str) -> None:
    """Where all are traced, its refusal is in a trace of its own, whatever it says."""
    request_id = f"stranger-{parent[-2:]}"
    lines = (f"traceparent: {parent}", f"X-Request-Id: {request_id}")
    traced.exchange(request(f"{method} /x", *lines, token="igw_nobody"))
    own, *_ = traced.trace(request_id).values()
    assert (own.parent_id, own.trace_id == TRACE_ID) == ("", False)
    assert traced.gateway.exchange(request_id)["trace_id"] == own.trace_id
