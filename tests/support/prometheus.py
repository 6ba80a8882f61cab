"""A real Prometheus with the configuration and rules of `deploy/`, and what its queries read.

Its configuration is the shipped one, but for the target, and for a scrape twice a second.
"""

import contextlib
import json
import re
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gateway.observe.families import FAMILIES
from gateway.observe.series import PREFIX
from tests.support.gateway import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
TARGET = "127.0.0.1:9585"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "invopop-gateway.json"
_NAME = re.compile(rf"(?<![:\w]){PREFIX}(\w+)")
_BOUND = re.compile(r"(?:>=|<=|==|>|<)\s*[\d.]+(?:\s*\*\s*[\d.]+)*")


def exposed() -> set[str]:
    """Every sample name that the gateway may expose, without the prefix."""
    names = set()
    for family in FAMILIES:
        suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
        names |= {family.name + suffix for suffix in suffixes}
    return names


def named(expression: str) -> set[str]:
    """The gateway's samples that an expression reads, without the prefix; no recorded ones."""
    return set(_NAME.findall(expression))


def left_side(expression: str) -> str:
    """What a condition compares: the expression without its bounds, absences and exceptions."""
    return _BOUND.sub("", expression).replace("unless", "or").replace("absent(", "(")


def shipped_rules() -> list[dict[str, Any]]:
    """All rules of all files: those with a member `alert`, and those with a member `record`."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def shipped_panels() -> list[dict[str, Any]]:
    """The dashboard's panels that show something."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in panels if panel["type"] != "row"]


class Prometheus:
    """The process. Queries are answered as of now; an error in one is an AssertionError."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **query: str) -> Any:
        """The `data` of an answer of the HTTP API."""
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=5) as reply:
                return json.load(reply)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """An instant query's samples."""
        samples: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return samples

    def firing(self, alert: str) -> list[dict[str, Any]]:
        """The instances of an alert that fire, with labels and rendered annotations."""
        alerts: list[dict[str, Any]] = self.get("alerts")["alerts"]
        named = [one for one in alerts if one["labels"]["alertname"] == alert]
        return [one for one in named if one["state"] == "firing"]

    def is_up(self) -> bool:
        """Whether it answers yet, and not with 503 either."""
        try:
            return bool(self.get("status/buildinfo"))
        except (OSError, AssertionError):
            return False


@contextlib.contextmanager
def scraping(program: str, target: str, directory: Path) -> Iterator[Prometheus]:
    """Runs `program` in `directory`, scraping `target` (`host:port`), until the block is left."""
    shipped = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    assert shipped.count(TARGET) == 1
    assert shipped.count("15s") == 2
    rules = json.dumps([str(path) for path in RULES])
    configured = shipped.replace(TARGET, target).replace("15s", "500ms")
    configured = re.sub(r"(?m)^rule_files: .*$", f"rule_files: {rules}", configured)
    config = directory / "prometheus.yml"
    config.write_text(configured)
    port = free_port()
    log = directory / "prometheus.log"
    command = (
        *(program, f"--config.file={config}", f"--storage.tsdb.path={directory / 'tsdb'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"),
        "--enable-feature=exemplar-storage",
    )
    with log.open("wb") as output, subprocess.Popen(command, stderr=output) as process:
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        try:
            eventually(lambda: prometheus.is_up() or process.poll() is not None, 15)
            assert process.poll() is None, log.read_text()
            yield prometheus
        finally:
            process.terminate()
            process.wait(15)


def free_port() -> int:
    """A port of this machine that was free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
