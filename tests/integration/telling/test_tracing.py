"""Traces of the running program, as a real OTLP receiver decodes them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import server_context
from tests.support.collector import Collector, Span
from tests.support.gateway import GatewayProcess, eventually, run, write_toml
from tests.support.world import (
    ENVIRON,
    KEY_B,
    SECRETS,
    TOK_A,
    TOK_B,
    TOK_S,
    TWO_KEYS,
    VAULT,
    World,
    fields,
    request,
    settings,
)

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"
UNSAMPLED = PARENT[:-2] + "00"
QUERY = "sentinel-value-of-a-query"
BUSY = fields("503 Busy", "Content-Length: 0")
REFUSED = fields("401 Unauthorized", "Content-Length: 0")
COLLECTOR_KEY = "sentinel-key-of-the-collector-000000000001"
OWN = "invopop_gateway."


class Traced(World):
    """A gateway that sends traces to `collector`."""

    def __init__(self, directory: Path, collector: Collector, **tracing: Any) -> None:
        self.collector = collector
        configured = {"endpoint": f"http://127.0.0.1:{collector.port}", **tracing}
        super().__init__(directory, {"tracing": configured}, vault=TWO_KEYS)

    def take_baseline(self) -> None:
        """As ever, once the connection to the receiver is there, which is kept."""
        self.get("/warm", f"traceparent: {PARENT}", timeout=10)
        eventually(self.collector.spans)
        super().take_baseline()

    def trace(self, request_id: str) -> dict[str, Span]:
        """The spans of one request by name; attempts are numbered from the second on."""
        named: dict[str, Span] = {}
        for span in sorted(self.collector.trace(request_id), key=lambda span: span.began):
            known = sum(name.startswith(span.name) for name in named)
            named[f"{span.name} {known + 1}" if known else span.name] = span
        return named

    def parent_sent(self) -> str | None:
        """The `traceparent` of the latest request that the origin saw."""
        return self.origin.requests[-1].get("traceparent")


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
    assert own.name == ("GET" if step else "HTTP")
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
    collector.status = 200
    collector.gate.clear()
    for n in range(20):
        assert traced.get("/x", f"X-Request-Id: held-{n}").status == 200
    collector.gate.set()
    traced.trace("held-19")
    eventually(lambda: traced.gateway.events("trace_export_recovered"))
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


def test_what_is_left_leaves_at_exit(tmp_path: Path) -> None:
    """Spans of the last request are not lost with the process."""
    with Collector() as collector, Traced(tmp_path, collector) as made:
        made.get("/x", "X-Request-Id: last")
        assert made.gateway.stop() == 0
        assert [s for s in collector.spans() if "last" in s.attributes.values()]


def test_a_receiver_that_hangs_holds_up_no_exit(tmp_path: Path) -> None:
    """The flush at exit is bounded."""
    with Collector() as collector, Traced(tmp_path, collector) as made:
        collector.gate.clear()
        made.get("/x")
        assert made.gateway.stop() == 0


def test_over_tls_with_a_secret_header(tmp_path: Path) -> None:
    """`ca_file` is believed, `headers` come from a secret source; neither is told anywhere."""
    world = World(tmp_path)
    context = server_context(world.authority.certificate("localhost"))
    with Collector(context) as collector:
        tracing = {
            "endpoint": f"https://localhost:{collector.port}/otlp",
            "ca_file": str(world.authority.ca_file),
            "headers": {"x-api-key": {"env": "COLLECTOR_KEY"}},
            "service_name": "gateway-of-tests",
        }
        configured = settings(world.origin, world.authority.ca_file, world.issuer)
        gateway = GatewayProcess(
            tmp_path,
            configured | {"tracing": tracing},
            VAULT,
            {**ENVIRON, "COLLECTOR_KEY": COLLECTOR_KEY, "HTTPS_PROXY": "http://127.0.0.1:1"},
        )
        with gateway:
            world.gateway = gateway
            world.get("/x", "X-Request-Id: tls")
            collector.trace("tls")
            assert collector.heads[-1]["x-api-key"] == COLLECTOR_KEY
            assert {*collector.paths} == {"/otlp"}
            assert collector.resource()["service.name"] == "gateway-of-tests"
            assert gateway.stop() == 0
            assert COLLECTOR_KEY not in "\n".join(gateway.lines())
    world.origin.hang_up()


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    """The command that mends it, and no traceback."""
    blocked = tmp_path / "blocked" / "opentelemetry"
    blocked.mkdir(parents=True)
    (blocked / "__init__.py").write_text("raise ModuleNotFoundError('opentelemetry')\n")
    environ = {**ENVIRON, "PYTHONPATH": str(blocked.parent)}
    world = World(tmp_path)
    configured = settings(world.origin, world.authority.ca_file, world.issuer)
    configured["tracing"] = {"endpoint": "http://127.0.0.1:4318"}
    write_toml(tmp_path / "gateway.toml", configured)
    write_toml(tmp_path / "vault.toml", VAULT)
    world.origin.hang_up()
    code, output = run(["check", "--config", str(tmp_path / "gateway.toml")], environ)
    assert code == 1
    assert "tracing.endpoint" in output
    assert "pip install 'invopop-gateway[otel]'" in output


def test_without_an_endpoint_nothing_of_it_is_loaded() -> None:
    """Whoever does not trace does not pay for it, nor need it installed."""
    program = (
        "import sys, gateway.cli.serve, gateway.app; "
        "print([m for m in sys.modules if m.startswith(('opentelemetry', 'requests', 'google'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"
