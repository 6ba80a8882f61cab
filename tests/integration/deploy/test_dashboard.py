"""The Grafana dashboard: only metrics that exist, and all of them."""

import json
from typing import Any

import yaml

from gateway.observe.families import FAMILIES
from tests.support.prometheus import DASHBOARD, DEPLOY, exposed, named, shipped_panels

GRAFANA = DEPLOY / "grafana"
CONTENT: dict[str, Any] = json.loads(DASHBOARD.read_text())
PANELS = shipped_panels()
VARIABLES = CONTENT["templating"]["list"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
EVERY_TEXT = [
    *EXPRESSIONS,
    *(variable["definition"] for variable in VARIABLES if variable["type"] == "query"),
    *(annotation["expr"] for annotation in CONTENT["annotations"]["list"]),
]


def test_it_uses_only_metrics_that_exist() -> None:
    """Each metric in a panel, a variable or an annotation is one that the gateway exposes."""
    assert all(named(text) <= exposed() for text in EVERY_TEXT)


def test_every_family_is_on_it() -> None:
    """What is measured can be seen: no family is left out."""
    used = {name for text in EVERY_TEXT for name in named(text)}
    families = {family.name: {family.name, f"{family.name}_bucket"} for family in FAMILIES}
    assert [name for name, samples in families.items() if not samples & used] == []


def test_panels_do_not_overlap_and_have_names_of_their_own() -> None:
    """Each panel has an id and a title of its own and lies within the grid, over no other."""
    taken: set[tuple[int, int]] = set()
    for panel in CONTENT["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in CONTENT["panels"]}) == len(CONTENT["panels"])


def test_each_panel_says_what_it_shows() -> None:
    """A description, for whoever is woken by an alert and sees it for the first time."""
    assert [panel["title"] for panel in PANELS if len(panel.get("description", "")) < 20] == []


def test_no_panel_mixes_a_state_with_rates() -> None:
    """A gauge of 0 or 1 on the axis of requests a second cannot be read."""
    for panel in PANELS:
        kinds = {"rate(" in t["expr"] or "increase(" in t["expr"] for t in panel["targets"]}
        assert len(kinds) == 1, panel["title"]


def test_the_process_is_on_it() -> None:
    """Memory, processor, open files and start time."""
    shown = " ".join(EXPRESSIONS)
    for name in ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds"):
        assert f"process_{name}{{" in shown


def test_panels_follow_the_choice_of_data_source() -> None:
    """Each panel reads the data source that was chosen, and narrows by job and instance."""
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            assert target["expr"].count("$job") == target["expr"].count("$instance") > 0


def test_it_is_provisioned() -> None:
    """Where compose mounts it, Grafana looks; and it finds the data source by its uid."""
    provider, source = (
        yaml.safe_load((GRAFANA / "provisioning" / name).read_text())
        for name in ("dashboards/invopop-gateway.yaml", "datasources/prometheus.yaml")
    )
    grafana = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    folder = mounts["./grafana/dashboards"]
    assert provider["providers"][0]["options"]["path"] == folder
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/{DASHBOARD.name}"
    provisioned = {
        "text": source["datasources"][0]["name"],
        "value": source["datasources"][0]["uid"],
    }
    assert VARIABLES[0]["current"] == provisioned
