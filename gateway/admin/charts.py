"""Steps become three small charts: paths for the page's SVG, and the same in words. Pure.

A step without a value is a gap, never a zero.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

from gateway.admin.history import STEPS
from gateway.admin.view import IntervalRow, Traffic
from gateway.admin.wording import clock, duration, percent, rate

_COLUMN: Final = 10
WIDTH: Final = STEPS * _COLUMN
HEIGHT: Final = 160
_TOP: Final = 8  # so that a line at the top is drawn whole


@dataclass(frozen=True, slots=True)
class Line:
    """One series: its name, its colour's class, its line, and the area below it (or "")."""

    name: str
    colour: str
    path: str
    area: str


@dataclass(frozen=True, slots=True)
class Band:
    """One step's column, and what a pointer over it shows."""

    x: int
    width: int
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One card: a title, the last minute's figure and unit, a note, and the drawing."""

    key: str
    title: str
    figure: str
    note: str
    summary: str
    top: str
    lines: tuple[Line, ...]
    bands: tuple[Band, ...]
    empty: bool


_ROUND: Final = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
Values = list[float | None]


def charts(traffic: Traffic) -> tuple[Chart, Chart, Chart]:
    """Requests, errors and latency of the last 15 minutes."""
    return _requests(traffic), _errors(traffic), _latency(traffic)


def _requests(traffic: Traffic) -> Chart:
    steps, seconds = traffic.steps, traffic.step_seconds
    values: Values = [step.requests / seconds for step in steps]
    top = _nice(_highest(values), 1.0)
    return Chart(
        key="requests",
        title="Requests",
        figure=f"{rate(traffic.requests_per_second)}/s",
        note=f"{traffic.requests:,} in the last minute",
        summary=f"Requests a second over 15 minutes; highest {rate(_highest(values))}.",
        top=f"{top:g}/s",
        lines=(_line("requests", "accent", values, top, filled=True),),
        bands=_bands(steps, lambda step: f"{rate(step.requests / seconds)}/s"),
        empty=not any(values),
    )


def _errors(traffic: Traffic) -> Chart:
    refused = [_share(step.refused, step) for step in traffic.steps]
    failed = [_share(step.failed, step) for step in traffic.steps]
    top = min(1.0, _nice(_highest(refused + failed), 0.01))
    wrong = traffic.refused + traffic.failed
    share = wrong / traffic.requests if traffic.requests else None
    return Chart(
        key="errors",
        title="Errors",
        figure=percent(share),
        note=f"{traffic.failed:,} failed, {traffic.refused:,} refused in the last minute",
        summary=(
            "Share of requests that failed or were refused over 15 minutes; at most"
            f" {percent(_highest(failed))} failed, {percent(_highest(refused))} refused."
        ),
        top=percent(top),
        lines=(
            _line("refused", "warn", refused, top, filled=True),
            _line("failed", "bad", failed, top, filled=True),
        ),
        bands=_bands(traffic.steps, lambda s: f"{s.failed:,} failed, {s.refused:,} refused"),
        empty=not any(step.requests for step in traffic.steps),
    )


def _latency(traffic: Traffic) -> Chart:
    half = [step.p50 for step in traffic.steps]
    most = [step.p95 for step in traffic.steps]
    top = _nice(_highest(half + most), 0.001)
    own = "" if traffic.own_seconds is None else f"; own share {duration(traffic.own_seconds)}"
    return Chart(
        key="latency",
        title="Latency",
        figure=duration(traffic.p50),
        note=f"p95 {duration(traffic.p95)}{own}",
        summary=(
            "Time that forwarded requests took over 15 minutes; highest median"
            f" {duration(_highest(half))}, highest p95 {duration(_highest(most))}."
        ),
        top=duration(top),
        lines=(
            _line("p95", "second", most, top, filled=False),
            _line("median", "accent", half, top, filled=False),
        ),
        bands=_bands(traffic.steps, lambda s: f"p50 {duration(s.p50)}, p95 {duration(s.p95)}"),
        empty=not _highest(most),
    )


def _share(count: int, step: IntervalRow) -> float | None:
    return count / step.requests if step.requests else None


def _highest(values: Sequence[float | None]) -> float:
    return max((value for value in values if value is not None), default=0.0)


def _nice(highest: float, least: float) -> float:
    """The end of the axis: a round number, at least `least`."""
    if highest <= least:
        return least
    power = 10.0 ** floor(log10(highest))
    return next(n * power for n in _ROUND if ceil(highest / power * 1e6) <= n * 1e6)


def _line(name: str, colour: str, values: Values, top: float, *, filled: bool) -> Line:
    path, area = [], []
    for run in _runs(values):
        points = [
            f"{(index + 0.5) * _COLUMN:.1f} {HEIGHT - value / top * (HEIGHT - _TOP):.1f}"
            for index, value in run
        ]
        drawn = " L".join(points)
        path.append(f"M{drawn}" + ("h.01" if len(points) == 1 else ""))
        first, last = points[0].split()[0], points[-1].split()[0]
        area.append(f"M{first} {HEIGHT} L{drawn} L{last} {HEIGHT}Z")
    return Line(name, colour, " ".join(path), " ".join(area) if filled else "")


def _runs(values: Values) -> Iterator[list[tuple[int, float]]]:
    """Runs of steps that have a value, each with its column; the newest is the last."""
    run: list[tuple[int, float]] = []
    for index, value in enumerate(values, STEPS - len(values)):
        if value is not None:
            run.append((index, value))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _bands(steps: Sequence[IntervalRow], text: Callable[[IntervalRow], str]) -> tuple[Band, ...]:
    return tuple(
        Band(index * _COLUMN, _COLUMN, f"{clock(step.at)} {text(step)}")
        for index, step in enumerate(steps, STEPS - len(steps))
        if step.requests
    )
