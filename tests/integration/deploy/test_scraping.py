"""A real Prometheus scrapes the running gateway; everything that is asked of it is answered."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from gateway.sandbox.samples import invoice
from tests.support.gateway import GatewayProcess, eventually
from tests.support.prometheus import (
    Prometheus,
    named,
    scraping,
    shipped_panels,
    shipped_rules,
)

EXPRESSIONS = [target["expr"] for panel in shipped_panels() for target in panel["targets"]]
RULES = {rule.get("alert") or rule["record"]: rule["expr"] for rule in shipped_rules()}
# These have a series only once something is configured or goes wrong that here does not.
WITHOUT_SERIES = {"jwks_refresh_total", "key_expiry_timestamp_seconds", "key_rejected_total"}
BILLING = {"Authorization": "Bearer igw_sandbox-billing-public-by-design"}
REPORTING = {"Authorization": "Bearer igw_sandbox-reporting-public-by-design"}


def send(client: httpx.Client, path: str, tenant: str = "acme", **more: str) -> int:
    """GETs a path for a tenant; the status."""
    return client.get(path, headers={**BILLING, "X-Invopop-Tenant": tenant, **more}).status_code


def a_little_of_everything(client: httpx.Client) -> None:
    """Successes, refusals, an operation that only `enforce = false` lets through."""
    assert send(client, "/access/v1/workspace") == 200
    assert send(client, "/silo/v1/entries/nothing", "globex") == 404
    assert send(client, "/access/v1/workspace", "nobody") == 403
    assert client.get("/silo/v1/entries").status_code == 401
    headers = {**REPORTING, "X-Invopop-Tenant": "acme"}
    made = client.post("/silo/v1/entries", headers=headers, json={"data": invoice()})
    assert made.status_code in {200, 201}, made.text


@pytest.fixture(scope="module")
def callers(compose: GatewayProcess) -> Iterator[httpx.Client]:
    """A client of the gateway."""
    with httpx.Client(base_url=compose.url, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def prometheus(
    program: Callable[[str], str],
    compose: GatewayProcess,
    callers: httpx.Client,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Prometheus]:
    """Prometheus, once it has seen some seconds of traffic and evaluated its rules."""
    target = f"127.0.0.1:{compose.admin_port}"
    directory = tmp_path_factory.mktemp("prometheus")
    a_little_of_everything(callers)
    with scraping(program("prometheus"), target, directory) as server:
        records = [name for name in RULES if ":" in name]

        def ready() -> bool:
            a_little_of_everything(callers)
            return all(server.query(name) for name in records)

        eventually(ready, 20)
        yield server


def of_now(expression: str) -> str:
    """A dashboard's expression with its variables filled in, as Grafana does."""
    filled = re.sub(r"\$(job|instance|tenant)\b", ".*", expression)
    return filled.replace("$__rate_interval", "10s")


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_panel_shows_data(prometheus: Prometheus, expression: str) -> None:
    """Every expression of the dashboard is answered, with data where there can be any."""
    assert prometheus.query(of_now(expression)) is not None
    if not named(expression) & WITHOUT_SERIES:
        # What a panel shows only above zero is there all the time.
        assert prometheus.query(of_now(expression).replace(" > 0", ""))


@pytest.mark.parametrize("name", RULES)
def test_each_rule_is_evaluated(prometheus: Prometheus, name: str) -> None:
    """Every rule's expression is answered, and each sample that it reads is there."""
    assert prometheus.query(RULES[name]) is not None
    for sample in named(RULES[name]) - WITHOUT_SERIES:
        assert prometheus.query(f"invopop_gateway_{sample}"), sample


def test_prometheus_evaluates_them_all_without_error(prometheus: Prometheus) -> None:
    """No rule fails where it runs by itself."""
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert [rule for rule in rules if rule["health"] != "ok"] == []


def test_nothing_fires_while_all_is_well(prometheus: Prometheus) -> None:
    """Refused callers and Invopop's 404s are no alert."""
    assert prometheus.query('ALERTS{alertstate="firing"}') == []


def test_a_refused_key_fires_its_alert(
    prometheus: Prometheus, callers: httpx.Client, sandbox: tuple[int, Path]
) -> None:
    """The first time that Invopop refuses a tenant's key, the alert names the tenant."""
    file = sandbox[1] / "globex.key"
    genuine = file.read_text()
    try:
        file.write_text("wrong-key-of-globex\n")
        eventually(lambda: send(callers, "/access/v1/workspace", "globex") == 502)
        (alert,) = eventually(lambda: prometheus.firing("InvopopGatewayKeyRejected"))
    finally:
        file.write_text(genuine)
    assert (alert["labels"]["tenant"], alert["labels"]["slot"]) == ("globex", "key")
    assert alert["annotations"]["summary"] == "Invopop refuses the key (key) of tenant globex."
    eventually(lambda: send(callers, "/access/v1/workspace", "globex") == 200)
