"""The results as an SVG bar chart for the README, legible on light and on dark pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from tests.bench.results import PLAIN, Results
from tests.bench.rivals import LABELS

_WIDTH: Final = 860
_LABELS: Final = 350
_BAR: Final = 18
_STEP: Final = 26
_TOP: Final = 62
_STYLE: Final = """\
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .quiet { font-size: 12px; fill: #656d76; }
  .ours { fill: #0969da; } .theirs { fill: #afb8c1; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .quiet { fill: #8d96a0; }
    .ours { fill: #4493f8; } .theirs { fill: #545d68; }
  }"""


class _Bar(NamedTuple):
    label: str
    value: float
    text: str
    ours: bool


def draw(results: Results, path: Path) -> None:
    """CPU per request at 32 connections, then the median latency at one."""
    cost = [
        _Bar(
            LABELS[name], sample.cpu, f"{sample.cpu:,.0f} µs · {sample.per_second:,.0f}/s", _o(name)
        )
        for name, sample in _samples(results, PLAIN)
    ]
    latency = [
        _Bar(LABELS[name], sample.p50, f"{sample.p50:,.0f} µs", _o(name))
        for name, sample in _samples(results, 1)
    ]
    parts: list[str] = []
    bottom = 0
    for title, bars in (
        (f"CPU per request, {PLAIN} connections, one core (less is better)", cost),
        ("Median latency, 1 connection (less is better)", latency),
    ):
        parts += _chart(title, bars, bottom)
        bottom += _TOP + _STEP * len(bars)
    caption = f'<text class="quiet" x="12" y="{bottom + 20}">{escape(_caption(results))}</text>'
    frame = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 34}" role="img"'
    )
    name = 'aria-label="Benchmark of invopop-gateway, Envoy, nginx and Starlette with httpx"'
    style = f"<style>\n{_STYLE}\n</style>"
    svg = "\n".join((f"{frame} {name}>", style, *parts, caption, "</svg>", ""))
    path.write_text(svg)


def _samples(results: Results, count: int) -> Iterator[tuple[str, "_Sample"]]:
    for name, figures in results.rivals.items():
        if count in figures.by_connections:
            sample = figures.by_connections[count]
            yield name, _Sample(sample.cpu, sample.per_second, sample.p50)


class _Sample(NamedTuple):
    cpu: float
    per_second: float
    p50: float


def _o(name: str) -> bool:
    return name.startswith("gateway")


def _chart(title: str, bars: list[_Bar], top: int) -> Iterator[str]:
    """One chart; a bar that would dwarf the others is cut off, and says so."""
    yield f'<text class="title" x="12" y="{top + 40}">{escape(title)}</text>'
    ordered = sorted(bar.value for bar in bars)
    longest = (
        ordered[-2] * 1.6
        if len(ordered) > 2 and ordered[-1] > 3 * ordered[-2]
        else max(ordered, default=1.0)
    )
    room = _WIDTH - _LABELS - 170
    for index, bar in enumerate(bars):
        y = top + _TOP + _STEP * index
        cut = bar.value > longest
        width = room * min(bar.value / longest, 1.0)
        kind = "ours" if bar.ours else "theirs"
        text = ("≫ " if cut else "") + bar.text
        yield f'<text x="{_LABELS - 10}" y="{y + 14}" text-anchor="end">{escape(bar.label)}</text>'
        place = f'x="{_LABELS}" y="{y}" width="{width:.0f}" height="{_BAR}"'
        yield f'<rect class="{kind}" {place} rx="2"/>'
        x = _LABELS + width + 8
        yield f'<text class="quiet" x="{x:.0f}" y="{y + 14}">{escape(text)}</text>'


def _caption(results: Results) -> str:
    about = results.about
    where = f"{about['processor']}, {about['kernel']}, Python {about['python']}"
    return f"{where}, {about['date']}; medians of {about['rounds']} rounds"
