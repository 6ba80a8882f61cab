"""What a run found, as medians and ratios: the table on the terminal and the JSON on disk."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.bench.bulk import Bulk
from tests.bench.load import Sample
from tests.bench.rivals import LABELS
from tests.bench.scale import Crowd, Pair

PLAIN: Final = 32  # the number of connections that ratios of throughput and cost are taken at


class Figures(NamedTuple):
    """One rival's medians, by number of connections, and of POSTs at `PLAIN` ones by body size.

    `idle` and `loaded` are resident bytes before and after the load.
    """

    by_connections: dict[int, Sample]
    posts: dict[int, Sample]
    idle: int
    loaded: int


class Results(NamedTuple):
    """All that was measured. `about` says where and how."""

    about: dict[str, Any]
    rivals: dict[str, Figures]
    bulk: dict[str, Bulk]
    crowd: Crowd | None
    pair: Pair | None


def middle(samples: list[Sample]) -> Sample:
    """The median of each figure by itself."""
    return Sample(*(median(values) for values in zip(*samples, strict=True)))


def ratios(results: Results) -> dict[str, float]:
    """How the gateway stands to the others, as far as they were measured."""
    return {name: round(value, 3) for name, value in _ratios(results)}


def _ratios(results: Results) -> Iterator[tuple[str, float]]:
    rivals = results.rivals
    for ours in ("gateway-jwt", "gateway-token", "gateway-compiled-jwt", "gateway-compiled-token"):
        figures = rivals.get(ours)
        if figures is None:
            continue
        at = figures.by_connections
        for other in ("envoy-jwt-cached", "envoy-jwt", "haproxy", "nginx", "naive"):
            theirs = rivals[other].by_connections if other in rivals else {}
            if PLAIN in at and PLAIN in theirs:
                their = theirs[PLAIN]
                yield f"{ours} / {other}: CPU per request", at[PLAIN].cpu / their.cpu
                yield f"{ours} / {other}: requests/s", at[PLAIN].per_second / their.per_second
            for body in sorted(
                figures.posts.keys() & (rivals[other].posts if other in rivals else ())
            ):
                cost = figures.posts[body].cpu / rivals[other].posts[body].cpu
                yield f"{ours} / {other}: CPU per POST of {body / 1024:g} KiB", cost
            if 1 in at and 1 in theirs:
                yield f"{ours} / {other}: p50 at 1 connection", at[1].p50 / theirs[1].p50
        if {PLAIN, 256} <= at.keys():
            yield f"{ours}: CPU per request, 256 / 32 connections", at[256].cpu / at[PLAIN].cpu
    if results.crowd:
        value = results.crowd.cpu_of_many / results.crowd.cpu_of_one
        yield "many tenants / one: CPU per request", value
    if results.pair:
        yield (
            "two processes / one: CPU per request",
            results.pair.cpu_of_two / (results.pair.cpu_of_one),
        )


def write_json(results: Results, path: Path) -> None:
    """Times are microseconds, sizes bytes; rates per second."""
    document = {
        "about": results.about,
        "rivals": {
            name: {
                "label": LABELS[name],
                "rss_idle": figures.idle,
                "rss_loaded": figures.loaded,
                "connections": _samples(figures.by_connections),
                "posts": _samples(figures.posts),
            }
            for name, figures in results.rivals.items()
        },
        "bulk": {name: _rounded(bulk._asdict()) for name, bulk in results.bulk.items()},
        "many_tenants": _rounded(results.crowd._asdict()) if results.crowd else None,
        "two_processes": _rounded(results.pair._asdict()) if results.pair else None,
        "ratios": ratios(results),
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


def _samples(found: dict[int, Sample]) -> dict[str, dict[str, float]]:
    return {
        str(number): {key: round(value, 2) for key, value in sample._asdict().items()}
        for number, sample in found.items()
    }


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in values.items()}


def show(results: Results, console: Console) -> None:
    """Prints the table and the lines below it."""
    if results.rivals:
        console.print(_table(results))
    for line in _more_lines(results):
        console.print(line)
    for name, value in ratios(results).items():
        console.print(f"{name}: [bold]{value:.2f}[/]")


def _table(results: Results) -> Table:
    table = Table(title="CPU µs per request · requests/s · p50/p99 in µs", title_justify="left")
    table.add_column("")
    counts = sorted({c for f in results.rivals.values() for c in f.by_connections})
    for count in counts:
        table.add_column(f"{count} connection{'s' if count > 1 else ''}", justify="right")
    bodies = sorted({body for f in results.rivals.values() for body in f.posts})
    for body in bodies:
        table.add_column(f"POST {body / 1024:g} KiB, {PLAIN}", justify="right")
    table.add_column("RSS MiB idle → loaded", justify="right")
    for name, figures in results.rivals.items():
        cells = [_cell(figures.by_connections.get(count)) for count in counts]
        cells += [_cell(figures.posts.get(body)) for body in bodies]
        memory = f"{figures.idle / 2**20:.0f} → {figures.loaded / 2**20:.0f}"
        table.add_row(LABELS[name], *cells, memory)
    return table


def _cell(sample: Sample | None) -> str:
    if sample is None:
        return "failed"
    rate = f"{sample.cpu:.0f} · {sample.per_second:,.0f}"
    return f"{rate} · {sample.p50:,.0f}/{sample.p99:,.0f}"


def _more_lines(results: Results) -> Iterator[str]:
    for name, bulk in results.bulk.items():
        yield (
            f"{results.about['bulk_bytes'] / 2**20:.0f} MiB {name}: {bulk.rate:.0f} MiB/s, "
            f"{bulk.cpu:.2f} ms CPU per MiB, growth {bulk.growth / 2**20:.1f} MiB"
        )
    if results.crowd:
        crowd = results.crowd
        yield (
            f"{results.about['tenants']} tenants: {crowd.cpu_of_many:.0f} µs per request "
            f"(one: {crowd.cpu_of_one:.0f}); per tenant {crowd.idle:.0f} bytes idle, "
            f"{crowd.met:.0f} once each has been served"
        )
    if results.pair:
        pair = results.pair
        yield (
            f"two processes: {pair.cpu_of_two:.0f} µs per request, {pair.rate_of_two:,.0f}/s "
            f"(one: {pair.cpu_of_one:.0f} µs, {pair.rate_of_one:,.0f}/s)"
        )
