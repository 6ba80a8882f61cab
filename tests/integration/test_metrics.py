"""What is told to operators: true, complete from the first scrape, and bounded."""

import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.families import FAMILIES
from tests.support.tls_server import Seen, Wire
from tests.support.world import SERIES_PER_CASE, TOK_B, World, fields, request, series

ID = "347c5b04-cde2-11ed-afa1-0242ac120002"


def test_families_exist_at_once(world: World) -> None:
    """Case 179: every family is there, typed and explained, before anything has happened to it."""
    text = world.gateway.metrics_text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for listed in FAMILIES:
        family = families[f"invopop_gateway_{listed.name.removesuffix('_total')}"]
        assert (family.type, family.documentation) == (listed.kind, listed.meaning)
        if listed.known:
            assert len(family.samples) >= len(listed.known)
    assert world.gateway.metric("build_info") == 1
    assert 'reason="tenant_denied"' in text


def test_exchange_is_counted_once(world: World) -> None:
    """A request is in every metric that concerns it, under its route, tenant and caller."""
    labels = {"tenant": "globex", "caller": "ledger", "route": "/silo/v1/entries/{id}",
              "method": "GET", "status": "200"}  # fmt: skip
    route = {"route": labels["route"], "method": "GET"}

    def counts() -> list[float]:
        metric = world.gateway.metric
        return [
            metric("requests_total", **labels),
            metric("requests_total"),
            metric("request_duration_seconds_count", **route),
            metric("upstream_duration_seconds_count", **route),
            metric("overhead_seconds_count"),
        ]

    before = counts()
    assert (
        world.get("/silo/v1/entries/347c5b04-cde2-11ed-afa1-0242ac120002?x=1", token=TOK_B).status
        == 200
    )
    assert [after - was for after, was in zip(counts(), before, strict=True)] == [1] * 5


def test_waiting_for_others_is_no_overhead(world: World) -> None:
    """A caller that sends slowly and an origin that thinks are not in the gateway's own share."""

    def think(wire: Wire, _: Seen) -> None:
        time.sleep(0.3)  # the pace of both sides is the case
        wire.send(fields("200 OK", "Content-Length: 0"))

    def sums() -> tuple[float, float]:
        metric = world.gateway.metric
        return metric("overhead_seconds_sum"), metric("request_duration_seconds_sum")

    before = sums()
    world.origin.play(think)
    connection = world.connect()
    connection.send(request("POST /x", "Content-Length: 2", body=b"a"))
    time.sleep(0.3)
    connection.send(b"b")
    assert connection.reply("POST").status == 200
    own, whole = (after - was for after, was in zip(sums(), before, strict=True))
    assert whole >= 0.6
    assert 0 < own < 0.3


def test_bytes_are_counted(world: World) -> None:
    """Body bytes both ways, by tenant."""
    metric = world.gateway.metric
    before = (
        metric("request_bytes_total", tenant="acme"),
        metric("response_bytes_total", tenant="acme"),
    )
    world.origin.answer(fields("200 OK", "Content-Length: 5") + b"12345")
    world.exchange(request("POST /x", "Content-Length: 3", body=b"abc"), "POST")
    after = (
        metric("request_bytes_total", tenant="acme"),
        metric("response_bytes_total", tenant="acme"),
    )
    assert (after[0] - before[0], after[1] - before[1]) == (3, 5)


def test_refusal_is_counted(world: World) -> None:
    """Case 181: what was not let in bears no tenant, and counts by its reason and its status."""
    metric = world.gateway.metric
    before = metric("rejected_total", reason="unauthenticated")
    requests = metric("requests_total", tenant="", status="401")
    world.get("/x", token="wrong")
    assert metric("rejected_total", reason="unauthenticated") == before + 1
    assert metric("requests_total", tenant="", status="401") == requests + 1


@pytest.mark.parametrize(
    ("raw", "status", "reason"),
    [
        (b"GET / HTTP/9.9\r\n\r\n", "505", "bad_request"),
        (request("GET /x", "X : y"), "400", "bad_request"),
        (request("GET /x", "X: " + "v" * 70_000), "431", "headers_too_large"),
    ],
)
def test_refusals_below_the_application(world: World, raw: bytes, status: str, reason: str) -> None:
    """Case 181: what is refused while it is parsed is counted and logged like all else."""
    metric = world.gateway.metric
    before = (metric("rejected_total", reason=reason), metric("requests_total", status=status))
    reply = world.exchange(raw)
    assert reply.status == int(status)
    after = (metric("rejected_total", reason=reason), metric("requests_total", status=status))
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    assert world.gateway.exchange(str(reply.get("x-request-id")))["error"] == reason


def test_statuses_are_the_only_thing_that_the_origin_names(world: World) -> None:
    """Case 178: of what either side invents, only a status becomes a label."""
    before = series(world.gateway.metrics_text())
    connection = world.connect()
    for number in range(300):
        world.origin.answer(fields(f"{200 + number} Odd", "Content-Length: 0"))
        connection.send(
            request(f"GET /random/{number}/{number}?{number}", f"User-Agent: {number}",
                    f"X-Request-Id: {number}", host=f"h{number}")
        )  # fmt: skip
        connection.reply()
    text = world.gateway.metrics_text()
    assert "random" not in text.lower().replace("randomly", "")
    # One per status that the origin invented, and a few for the rest.
    assert series(text) - before <= 300 + SERIES_PER_CASE
    world.take_series_baseline()


def test_scrapes_under_load(world: World) -> None:
    """Case 182: each scrape is whole and lawful while requests go on."""
    with ThreadPoolExecutor(4) as pool:
        load = [pool.submit(world.get, f"/{number}") for number in range(200)]
        for _ in range(10):
            assert world.gateway.metrics()
        assert {future.result().status for future in load} == {200}


def test_openmetrics(world: World) -> None:
    """The scraper gets the format it asks for, lawful to the last line, with traces to jump to."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    world.get("/x", f"traceparent: 00-{trace}-00f067aa0ba902b7-01")
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    status, body = world.gateway.admin("/metrics", accept)
    assert status == 200
    parsed = openmetrics(body.decode())  # type: ignore[no-untyped-call]
    samples = [s for family in parsed for s in family.samples]
    jumps = {s.name for s in samples if s.exemplar and s.exemplar.labels == {"trace_id": trace}}
    histograms = ("request_duration", "upstream_duration", "overhead")
    assert jumps == {f"invopop_gateway_{name}_seconds_bucket" for name in histograms}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes(world: World, path: str) -> None:
    """Case 187: alive and ready, while the origin may be what it likes."""
    with world.origin.away():
        assert world.gateway.admin(path)[0] == 200


def test_other_paths_of_the_admin_listener(world: World) -> None:
    """Case 183: it serves its own pages only: nothing is forwarded from there."""
    assert world.gateway.admin("/silo/v1/entries")[0] == 404
    assert world.gateway.admin("/metrics/../silo")[0] == 404
    assert not world.origin.requests


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_metrics_are_read_only(world: World, method: str) -> None:
    """Case 183: any other method is 405, a large body notwithstanding."""
    url = world.gateway.admin_url + "/metrics"
    sent = urllib.request.Request(url, data=b"Z" * 100_000, method=method)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(sent, timeout=5)
    assert refusal.value.code == 405
    refusal.value.close()
