"""A real Prometheus scrapes the running gateway; everything that is asked of it is answered."""

import re
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.gateway import GatewayProcess, eventually
from tests.support.prometheus import (
    Prometheus,
    left_side,
    scraping,
    shipped_panels,
    shipped_rules,
)
from tests.support.status_gateway import TRACE, Sandbox, a_little_of_everything, observed

EXPRESSIONS = [target["expr"] for panel in shipped_panels() for target in panel["targets"]]
# Only a listener with TLS has a certificate; promtool's unit tests feed what is made of it.
OF_TLS = "certificate_expiry_timestamp_seconds"
RULES = {rule.get("alert") or rule["record"]: rule["expr"] for rule in shipped_rules()}


@pytest.fixture(scope="module")
def gateway(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that has something to tell in every family."""
    with observed(tmp_path_factory.mktemp("observed"), sandbox) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(
    program: Callable[[str], str],
    gateway: GatewayProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """Prometheus, once it has seen some seconds of traffic and evaluated its rules."""
    target = f"127.0.0.1:{gateway.admin_port}"
    directory = tmp_path_factory.mktemp("prometheus")
    with (
        httpx.Client(base_url=gateway.url, trust_env=False) as client,
        scraping(program("prometheus"), target, directory) as server,
    ):
        every = [left_side(rule) for rule in RULES.values() if OF_TLS not in rule]

        def ready() -> bool:
            a_little_of_everything(client)
            return all(server.query(expression) for expression in every)

        eventually(ready, 40)
        yield server


def of_now(expression: str) -> str:
    """A dashboard's expression with its variables filled in, as Grafana does."""
    filled = re.sub(r"\$(job|instance|tenant)\b", ".*", expression)
    return filled.replace("$__rate_interval", "10s")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_panel_shows_data(prometheus: Prometheus, expression: str) -> None:
    """Every expression of the dashboard is answered, and with data."""
    assert prometheus.query(of_now(expression)) is not None
    # What a panel shows only above zero is there all the time.
    assert OF_TLS in expression or prometheus.query(of_now(left_side(expression)))


@pytest.mark.parametrize("name", RULES)
def test_each_rule_is_evaluated(prometheus: Prometheus, name: str) -> None:
    """Every rule's expression is answered; and what it compares is there, so that it can fire."""
    assert prometheus.query(RULES[name]) is not None
    assert OF_TLS in RULES[name] or prometheus.query(left_side(RULES[name]))


def test_prometheus_evaluates_them_all_without_error(prometheus: Prometheus) -> None:
    """No rule fails where it runs by itself."""
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert [rule for rule in rules if rule["health"] != "ok"] == []


def test_a_refused_key_fires_its_alert_and_no_other(prometheus: Prometheus) -> None:
    """Refused callers and Invopop's 404s are none; the first refusal of a key is, by its name."""
    (alert,) = eventually(lambda: prometheus.firing("InvopopGatewayKeyRejected"))
    assert (alert["labels"]["tenant"], alert["labels"]["slot"]) == ("initech", "key")
    assert alert["annotations"]["summary"] == "Invopop refuses the key (key) of tenant initech."
    firing = prometheus.query('ALERTS{alertstate="firing"}')
    assert {one["metric"]["alertname"] for one in firing} == {"InvopopGatewayKeyRejected"}


def test_a_bucket_leads_to_a_trace(prometheus: Prometheus) -> None:
    """Prometheus keeps the exemplars of all three histograms, with the caller's trace id."""
    found = prometheus.get("query_exemplars", query='{__name__=~".+_seconds_bucket"}',
                           start="0", end="9999999999")  # fmt: skip
    names = {
        series["seriesLabels"]["__name__"]
        for series in found
        if {one["labels"]["trace_id"] for one in series["exemplars"]} == {TRACE}
    }
    assert len(names) == 3
