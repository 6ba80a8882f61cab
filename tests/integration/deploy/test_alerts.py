"""Alerts and recording rules: promtool's own unit tests, and that none is without one."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.prometheus import DEPLOY, RULES, exposed, named, shipped_rules

TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
ALERT = re.compile(r'ALERTS\{alertname="(\w+)"')
RUNBOOK = (DEPLOY / "runbook.md").read_text()
RUNBOOK_URL = "https://runbooks.example/invopop-gateway.md"  # the guide says how to replace it
ALERTS = {rule["alert"]: rule for rule in shipped_rules() if "alert" in rule}
RECORDED = {rule["record"] for rule in shipped_rules() if "record" in rule}


def outcomes() -> dict[str, set[bool]]:
    """By alert: True if some unit test wants it to fire, False if some wants it silent."""
    wanted: dict[str, set[bool]] = {name: set() for name in ALERTS}
    for path in TESTS:
        for case in yaml.safe_load(path.read_text())["tests"]:
            for check in case["promql_expr_test"]:
                for alert in ALERT.findall(check["expr"]):
                    assert alert in case["name"]
                    wanted[alert].add(bool(check["exp_samples"]))
    return wanted


def promtool(path: str, *arguments: object) -> str:
    """Runs promtool; its output, which is shown if it finds something wrong."""
    command = [path, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_and_configuration_are_sound(program: Callable[[str], str]) -> None:
    """promtool has nothing against the configuration and the rules that it names."""
    config = DEPLOY / "prometheus" / "prometheus.yml"
    told = promtool(program("promtool"), "check", "config", "--lint-fatal", config)
    assert f"{len(RULES)} rule files found" in told


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_unit_tests_hold(program: Callable[[str], str], path: Path) -> None:
    """Each alert fires where its unit test says so, and is silent where that says so."""
    promtool(program("promtool"), "test", "rules", path)


def test_a_wrong_expectation_fails(program: Callable[[str], str], tmp_path: Path) -> None:
    """The unit tests can fail: without its rule no alert fires."""
    text = (DEPLOY / "prometheus" / "tests" / "process.yml").read_text()
    emptied = tmp_path / "process.yml"
    emptied.write_text(re.sub(r"(?m)^rule_files: .*$", "rule_files: []", text))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool(program("promtool"), "test", "rules", emptied)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tested_both_ways(alert: str) -> None:
    """One unit test makes it fire, and another shows that it stays silent."""
    assert outcomes()[alert] == {True, False}


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_to_do(alert: str) -> None:
    """It has a severity that says when, a summary, what to do, and a section of the runbook."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "runbook", "runbook_url"}
    assert len(rule["annotations"]["runbook"]) > 80
    assert rule["annotations"]["runbook_url"] == f"{RUNBOOK_URL}#{alert.lower()}"


def test_the_runbook_has_a_section_for_each_alert() -> None:
    """In the order of the rules, and for no other; its links lead to headings that are there."""
    assert re.findall(r"(?m)^### (\w+)$", RUNBOOK) == list(ALERTS)
    inside = set(re.findall(r"\]\(#(\w+)\)", RUNBOOK))
    assert inside <= {alert.lower() for alert in ALERTS}


def test_the_runbook_asks_for_metrics_that_exist() -> None:
    """Each sample that it names is one that the gateway exposes."""
    assert named(RUNBOOK) - {""} <= exposed()


def test_only_what_exists_is_read() -> None:
    """Rules read samples that the gateway exposes, and each record that these rules make."""
    read: set[str] = set()
    for rule in shipped_rules():
        assert named(rule["expr"]) <= exposed(), rule
        read |= set(re.findall(r"job:[\w:]+", rule["expr"]))
    assert read == RECORDED
