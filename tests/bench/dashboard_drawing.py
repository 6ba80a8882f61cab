"""A Grafana dashboard's panels as one SVG: its own grid, titles, units, thresholds and legends.

Rule: draws what it is given and asks nobody. Knows of Grafana only what this dashboard uses.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import ceil, floor, log10
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape

COLUMN: Final = 58  # pixels of one of the 24 columns
ROW: Final = 30
_GAP: Final = 8
_TOP: Final = 60
_LEFT: Final = 66  # of a plot, for its scale
_COLORS: Final = ("73bf69", "5794f2", "ff9830", "f2495c", "b877d9", "fade2a", "8ab8ff", "ffa6b0",
                  "37872d", "c4162a")  # fmt: skip
_STYLE: Final = """\
  text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: #24292e; }
  .name { font-size: 12.5px; font-weight: 600; }
  .head { font-size: 17px; font-weight: 600; }
  .quiet { fill: #6b7280; }
  .big { font-size: 24px; font-weight: 600; }
  .page { fill: #f4f5f5; } .panel { fill: #fff; stroke: #dfe1e6; }
  .grid { stroke: #24292e; stroke-opacity: .1; }
  .green { fill: #1a7f4b; } .orange { fill: #b35900; } .red { fill: #cf222e; }
  path { fill: none; stroke-width: 1.4; stroke-linejoin: round; } .area { stroke: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #d8d9da; } .quiet { fill: #9aa0a8; }
    .page { fill: #111217; } .panel { fill: #181b1f; stroke: #2c3037; }
    .grid { stroke: #d8d9da; }
    .green { fill: #73bf69; } .orange { fill: #ff9830; } .red { fill: #ff7383; }
  }"""


class Series(NamedTuple):
    """One line of a panel: its labels, its legend, and seconds from the start with values."""

    labels: dict[str, str]
    legend: str
    points: list[tuple[float, float]]


class Box(NamedTuple):
    """Where something is drawn, in pixels."""

    x: float
    y: float
    w: float
    h: float


def draw(panels: Sequence[tuple[dict[str, Any], list[Series]]], seconds: float, text: str) -> str:
    """The whole dashboard; `text` says above it what it is."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels)
    width, height = 24 * COLUMN + _GAP, bottom * ROW + _TOP + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>The Grafana dashboard of invopop-gateway</title>",
        f"<style>\n{_STYLE}\n</style>",
        f'<rect class="page" width="{width}" height="{height}"/>',
        f'<text class="head" x="{_GAP}" y="26">invopop-gateway</text>',
        f'<text class="quiet" x="{_GAP}" y="46">{escape(text)}</text>',
    ]
    for panel, series in panels:
        parts += _panel(panel, series, seconds)
    return "\n".join((*parts, "</svg>", ""))


def _panel(panel: dict[str, Any], series: list[Series], seconds: float) -> Iterator[str]:
    at = panel["gridPos"]
    box = Box(at["x"] * COLUMN + _GAP, at["y"] * ROW + _TOP,
              at["w"] * COLUMN - _GAP, at["h"] * ROW - _GAP)  # fmt: skip
    title = escape(panel["title"])
    if panel["type"] == "row":
        yield f'<text class="head" x="{box.x}" y="{box.y + 19}">{title}</text>'
        return
    yield f'<rect class="panel" x="{box.x}" y="{box.y}" width="{box.w}" height="{box.h}" rx="3"/>'
    yield f'<text class="name" x="{box.x + 8}" y="{box.y + 18}">{title}</text>'
    kind = {"stat": _stat, "table": _table}.get(panel["type"])
    yield from kind(panel, series, box) if kind else _plot(panel, series, box, seconds)


# Numbers


def _stat(panel: dict[str, Any], series: list[Series], box: Box) -> Iterator[str]:
    settings = panel["fieldConfig"]["defaults"]
    y = box.y + box.h / 2 + 18
    for one in series[:1]:
        value = one.points[-1][1]
        mapped = [m["options"] for m in settings.get("mappings", ())]
        told = next((m[f"{value:g}"]["text"] for m in mapped if f"{value:g}" in m), None)
        if panel["options"].get("textMode") == "name":
            told = one.legend
        text = told or shown(value, settings["unit"])
        size = min(24.0, (box.w - 12) / (0.62 * len(text)))
        yield (
            f'<text class="big {_color(settings, value)}" style="font-size:{size:.0f}px" '
            f'x="{box.x + box.w / 2:.0f}" y="{y:.0f}" text-anchor="middle">{escape(text)}</text>'
        )


def _table(panel: dict[str, Any], series: list[Series], box: Box) -> Iterator[str]:
    settings = panel["fieldConfig"]["defaults"]
    names = sorted({name for one in series for name in one.labels})
    heads = [*names, panel["transformations"][0]["options"]["renameByName"]["Value"]]
    step = (box.w - 16) / len(heads)
    for column, head in enumerate(heads):
        yield _text(box.x + 8 + column * step, box.y + 42, head, "quiet")
    for row, one in enumerate(series[: int((box.h - 50) // 20)]):
        y, value = box.y + 64 + row * 20, one.points[-1][1]
        for column, name in enumerate(names):
            yield _text(box.x + 8 + column * step, y, one.labels.get(name, ""))
        told = shown(value, settings["unit"])
        yield _text(box.x + 8 + len(names) * step, y, told, _color(settings, value))


def _color(settings: dict[str, Any], value: float) -> str:
    """The colour of the highest threshold that the value has reached."""
    steps = settings.get("thresholds", {}).get("steps", ())
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return str(reached[-1]) if reached else ""


# Lines


def _plot(panel: dict[str, Any], series: list[Series], box: Box, seconds: float) -> Iterator[str]:
    settings = panel["fieldConfig"]["defaults"]
    stacked = "stacking" in settings["custom"]
    legend = list(_legend(series, box))
    plot = Box(box.x + _LEFT, box.y + 30, box.w - _LEFT - 12, box.h - 58 - 16 * len(legend))
    lines = _stack(series) if stacked else [one.points for one in series]
    highest = max((value for points in lines for _, value in points), default=0.0)
    step = _step(highest)
    ticks = [step * number for number in range(max(1, ceil(highest / step)) + 1)]
    yield from _scales(plot, ticks, settings["unit"], seconds)
    below = [(plot.x + plot.w, plot.y + plot.h), (plot.x, plot.y + plot.h)]
    for number, points in enumerate(lines):
        dots = [
            (plot.x + plot.w * t / seconds, plot.y + plot.h * (1 - value / ticks[-1]))
            for t, value in points
        ]
        color = _COLORS[number % len(_COLORS)]
        if stacked:
            area = f"{_path(dots + below)}z"
            yield f'<path class="area" style="fill:#{color};fill-opacity:.3" d="{area}"/>'
            below = dots[::-1]
        for run in _runs(dots, plot.w / 20):
            yield f'<path style="stroke:#{color}" d="{_path(run)}"/>'
    for row, items in enumerate(legend):
        yield from _legend_row(items, box.y + box.h - 10 - 16 * (len(legend) - 1 - row))


def _scales(plot: Box, ticks: Sequence[float], unit: str, seconds: float) -> Iterator[str]:
    """Values on the left, and below minutes and seconds from the start."""
    for tick in ticks:
        y = plot.y + plot.h * (1 - tick / ticks[-1])
        yield f'<path class="grid" d="M{plot.x:.0f} {y:.0f}h{plot.w:.0f}"/>'
        yield _text(plot.x - 6, y + 4, shown(tick, unit), "quiet", "end")
    for number, anchor in enumerate(("start", "middle", "middle", "end")):
        at = int(seconds * number / 3)
        x, told = plot.x + plot.w * number / 3, f"{at // 60}:{at % 60:02d}"
        yield _text(x, plot.y + plot.h + 16, told, "quiet", anchor)


def _legend_row(items: list[tuple[float, int, str]], y: float) -> Iterator[str]:
    for x, number, text in items:
        color = _COLORS[number % len(_COLORS)]
        yield f'<rect x="{x:.0f}" y="{y - 5:.0f}" width="12" height="3" fill="#{color}"/>'
        yield _text(x + 16, y, text)


def _legend(series: list[Series], box: Box) -> Iterator[list[tuple[float, int, str]]]:
    """Rows of at most two: where each legend begins, of which series, and its text."""
    row: list[tuple[float, int, str]] = []
    x, rows = box.x + 8, 0
    for number, one in enumerate(series):
        width = 30 + 6.4 * len(one.legend)
        if row and x + width > box.x + box.w - 60 * rows:
            yield row
            row, x, rows = [], box.x + 8, rows + 1
        if rows == 2:
            return
        row.append((x, number, one.legend))
        x += width
    if row:
        yield row


def _stack(series: list[Series]) -> list[list[tuple[float, float]]]:
    """Each series on top of those before it."""
    total: dict[float, float] = {t: 0.0 for one in series for t, _ in one.points}
    made: list[list[tuple[float, float]]] = []
    for one in series:
        for t, value in one.points:
            total[t] += value
        made.append(sorted(total.items()))
    return made


def _runs(dots: list[tuple[float, float]], widest: float) -> Iterator[list[tuple[float, float]]]:
    """Where samples are missing the line is broken."""
    run = dots[:1]
    for before, dot in pairwise(dots):
        if dot[0] - before[0] > widest:
            yield run
            run = []
        run.append(dot)
    if run:
        yield run


def _path(dots: list[tuple[float, float]]) -> str:
    return "M" + " ".join(f"{x:.0f},{y:.0f}" for x, y in dots)


def _step(highest: float) -> float:
    """A round distance between three to six ticks."""
    rough = (highest or 1.0) / 5
    magnitude: float = 10.0 ** floor(log10(rough))
    return next(n * magnitude for n in (1, 2, 5, 10) if n * magnitude >= rough)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    class_ = f' class="{kind}"' if kind else ""
    at = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{class_} x="{x:.0f}" y="{y:.0f}"{at}>{escape(text)}</text>'


def shown(value: float, unit: str) -> str:
    """A value as Grafana writes it, in the units that the dashboard has; a date by its age."""
    match unit:
        case "s":
            return _scaled(value, ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"),
                                   (1e-3, "ms"), (1e-6, "µs")))  # fmt: skip
        case "dateTimeFromNow":
            return shown(value, "s") + " ago"
        case "Bps":
            return _scaled(value, ((1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s")))
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "reqps":
            return f"{value:.3g} req/s"
        case "ops":
            return f"{value:.3g} /s"
    return f"{value:.3g}"


def _scaled(value: float, scale: Sequence[tuple[float, str]]) -> str:
    size, name = next(((s, n) for s, n in scale if abs(value) >= s), (1, scale[-1][1]))
    return f"{value / size:.3g} {name}" if value else "0"
