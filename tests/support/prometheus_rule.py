"""`python -m tests.support.prometheus_rule` writes the PrometheusRule from the rules."""

from typing import Any

import yaml

from tests.support.manifests import KUBERNETES
from tests.support.prometheus import DEPLOY


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)

FILE = KUBERNETES / "components" / "prometheus-rule" / "prometheus-rule.yaml"
HEADER = "# Written by `python -m tests.support.prometheus_rule` from deploy/prometheus/rules.\n"


def prometheus_rule() -> dict[str, Any]:
    """One resource with every group of rules."""
    files = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "invopop-gateway"},
        "spec": {"groups": groups},
    }


def rule_text() -> str:
    """The same as YAML."""
    return HEADER + yaml.dump(prometheus_rule(), Dumper=_Dumper, sort_keys=False, width=120)


if __name__ == "__main__":
    FILE.write_text(rule_text())
