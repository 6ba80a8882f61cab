"""The dashboard's picture: every panel as the dashboard has it, and values as a reader expects."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.bench.dashboard_drawing import Series, draw, shown
from tests.support.prometheus import DEPLOY, shipped_panels

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = DEPLOY / "grafana" / "dashboard.svg"


def panel(kind: str, **settings: Any) -> dict[str, Any]:
    defaults = {"unit": "s", "custom": {}, **settings}
    place = {"x": 0, "y": 0, "w": 8, "h": 8}
    options = {"title": kind, "gridPos": place, "options": {}}
    return {"type": kind, "fieldConfig": {"defaults": defaults}, **options}


def texts(svg: str) -> list[str]:
    return ["".join(found.itertext()) for found in ET.fromstring(svg).iter(f"{SVG}text")]


def test_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    """Nothing is drawn where nothing was measured."""
    points = [(t, 1.0) for t in (0.0, 2.0, 4.0, 60.0, 62.0)]
    svg = draw([(panel("timeseries"), [Series({}, "<p99>", points)])], 90, "")
    lines = [p for p in ET.fromstring(svg).iter(f"{SVG}path") if "stroke:" in p.get("style", "")]
    assert len(lines) == 2
    assert "<p99>" in texts(svg)


def test_a_number_has_its_thresholds_colour_and_its_name() -> None:
    """As Grafana does: the last threshold that is reached, and the mapped text."""
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
    told = panel(
        "stat", thresholds={"steps": steps}, mappings=[{"options": {"1": {"text": "open"}}}]
    )
    svg = draw([(told, [Series({}, "", [(0.0, 1.0)])])], 1, "")
    assert "open" in texts(svg)
    assert 'class="big red"' in svg


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00025, "s", "250 µs"), (0.25, "s", "250 ms"), (2592000, "s", "30 d"), (0, "s", "0"),
        (0.0144, "percentunit", "1.44 %"), (12.34, "reqps", "12.3 req/s"),
        (1500, "Bps", "1.5 kB/s")
    ],
)  # fmt: skip
def test_values_bear_their_unit(value: float, unit: str, text: str) -> None:
    """Three digits, and the unit that fits."""
    assert shown(value, unit) == text


def test_the_picture_in_the_repository_is_of_this_dashboard() -> None:
    """Each panel of today's dashboard is on it, by its title; and it says how it was made."""
    drawn = texts(PICTURE.read_text())
    assert [panel["title"] for panel in shipped_panels() if panel["title"] not in drawn] == []
    assert any("not by Grafana" in text for text in drawn)
    assert PICTURE.stat().st_size < 150_000
